"""Space that is reserved for a download: it belongs to the file; too little of it is an error at once."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gozen.sharing.reserved_space import reserve

SIZE = 2**20


def test_the_space_belongs_to_the_file_and_its_content_remains(tmp_path: Path) -> None:
    path = tmp_path / "cube.fits"
    path.write_bytes(b"night")
    with path.open("r+b") as stream:
        reserve(stream.fileno(), SIZE)
    assert path.read_bytes() == b"night"
    assert path.stat().st_blocks * 512 >= SIZE


def test_too_little_space_is_an_error(tmp_path: Path) -> None:
    with (tmp_path / "cube.fits").open("wb") as stream, pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        reserve(stream.fileno(), 2**62)


def test_a_file_that_cannot_be_reserved_is_left_as_it_is() -> None:
    reading, writing = os.pipe()
    reserve(writing, SIZE)
    os.close(reading)
    os.close(writing)
