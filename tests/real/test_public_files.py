"""Compare the list of public test data with the files: sizes and checksums."""

from __future__ import annotations

import gzip

import pytest
from tests.suite.public_data import PublicFile, listed


@pytest.mark.parametrize("one", listed(), ids=lambda one: one.file)
def test_the_list_has_the_bytes_of_the_file(observed, one: PublicFile) -> None:
    path = observed(one.file)
    data = path.read_bytes()
    assert one.problem(gzip.decompress(data) if path.suffix == ".gz" else data) is None
