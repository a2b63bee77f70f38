"""Read the raw data of one sensor and exposure: a cube file, or one file per frame.

Nothing is calibrated here; an invalid or contradictory file raises `CorruptFile`.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from gozen.archive.stores.open_store import Store
from gozen.archive.stores.store import named_errors
from gozen.errors import CorruptFile, MissingObject, RawFileMissing
from gozen.frames.exposure_grouping import same_time
from gozen.frames.fits_images import (
    ImageUnit,
    find_image,
    image_names,
    opened,
    quiet,
    reason_in_file,
    unpacked,
)
from gozen.frames.fits_units import FITS_BLOCK
from gozen.frames.header_cards import header_words
from gozen.frames.stored_pixels import (
    STORED,
    Pixels,
    Scaling,
    Stored,
    apply_scaling,
    has_negative_sky,
    native,
    run_over,
    scaling_of,
)
from gozen.instrument.profile import Profile
from gozen.instrument.read_header import RawHeader, read_header
from gozen.instrument.readout import read_out

_HEAD_BYTES = 256 * 1024
"""Bytes to read first: they contain the header of almost any file, while the pixels of a cube are 90 MB."""


@dataclass(frozen=True)
class RawFile:
    """One raw file: its header and its frames.

    Parameters
    ----------
    frames
        Pixels of shape (frames, rows, columns), big-endian as in the file.
    offset, scale, blank
        As in `gozen.frames.stored_pixels.Scaling`.
    images
        Number and name of each image in the file, if known.
    """

    name: str
    words: Mapping[str, Any]
    frames: NDArray[Any]
    offset: float
    sha256: str
    scale: float = 1.0
    blank: int | None = None
    images: tuple[str, ...] = ()

    def frame(self, index: int) -> Pixels:
        """Return one frame in native byte order: uint16 for unsigned 16-bit data, else floats that are exact."""
        return native(self.stored(index))

    def stored(self, index: int) -> Pixels | Stored:
        """Return one frame as int16 if the file stores uint16 as int16 with ``BZERO`` 32768, else as `frame` does."""
        return apply_scaling(self.frames[index], Scaling(self.offset, self.scale, self.blank), self.name)


@dataclass(frozen=True)
class RawCube:
    """All frames of one sensor in one exposure, in order of time.

    Parameters
    ----------
    header
        Header quantities of the first file.
    frame_id
        Name of the cube; its products are named after it.
    start
        MJD (UTC) at which the first pixel of each frame starts.
    """

    header: RawHeader
    frame_id: str
    files: tuple[RawFile, ...]
    start: NDArray[np.float64]

    @property
    def nframe(self) -> int:
        """The number of frames."""
        return len(self.start)

    @property
    def inputs(self) -> dict[str, str]:
        """SHA-256 of each file, by name."""
        return {file.name: file.sha256 for file in self.files}

    def frame(self, index: int) -> Pixels:
        """Return the raw pixels of one frame, shape (rows, columns)."""
        return native(self.stored(index))

    def stored(self, index: int) -> Pixels | Stored:
        """Return the pixels of one frame, shape (rows, columns), as `RawFile.stored` does."""
        if len(self.files) == 1:
            return self.files[0].stored(index)
        return self.files[index].stored(0)

    def read_out(self, profile: Profile) -> Profile:
        """Return the profile adapted to the frames: they may be binned, or a window of the sensor."""
        return read_out(profile, self.header.binning, self.header.window, _frame_shape(self.files[0]), self.frame_id)


def read_words(source: Path | IO[bytes], hdu: int | str | None = None) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Read the header of an image in a FITS file, and its shape.

    Parameters
    ----------
    hdu
        Number or name of the image; the first one by default.

    Raises
    ------
    CorruptFile
        The file is not a valid FITS file or contains no such image.
    StorageUnavailable, MissingObject
        The file cannot be read.
    """
    name = str(source) if isinstance(source, Path) else str(getattr(source, "name", "stream"))
    with named_errors(name, "read"), contextlib.ExitStack() as closing:
        stream = closing.enter_context(source.open("rb")) if isinstance(source, Path) else source
        head = stream.read(_HEAD_BYTES)
        try:
            return _words_and_shape(head, name, hdu)
        except CorruptFile:
            rest = stream.read()
            if not rest:
                raise
    return _words_and_shape(head + rest, name, hdu)


def words_of_image(header: bytes, name: str) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Return the keywords of the header at the start of a file, and the shape of its image.

    The result equals the result of `read_words`, in a third of the time.

    Raises
    ------
    CorruptFile
        The lengths of its axes cannot be read.
    """
    with quiet():
        words = header_words(header)
    try:
        axes = [int(words[f"NAXIS{axis}"]) for axis in range(int(words["NAXIS"]), 0, -1)]
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptFile(
            f"{name}: the header cannot be read ({reason_in_file(error)}); copy the file again"
        ) from error
    return words, tuple(axes)


def _words_and_shape(data: bytes, name: str, hdu: int | str | None) -> tuple[dict[str, Any], tuple[int, ...]]:
    unit = find_image(unpacked(data, name), name, hdu)
    return dict(unit.words), unit.shape


def read_file(
    store: Store, key: str, room: Callable[[int], memoryview] | None = None, hdu: int | str | None = None
) -> RawFile:
    """Read one raw file from the archive.

    Parameters
    ----------
    room
        Returns memory of a given size for the bytes of the file; the frames are views of it. Default: new memory.
    hdu
        Number or name of the image; the first one by default.

    Raises
    ------
    CorruptFile
        The file is truncated, not a valid FITS file, or contains no such image.
    RawFileMissing
        The file does not exist.
    """
    try:
        data = store.read_into(key, room or _new_memory)
    except MissingObject as error:
        raise RawFileMissing(
            f"the raw file {store.url_of(key)} is recorded, but it does not exist: it expired or was deleted; give "
            "the same file to `gozen run` or `gozen watch` again"
        ) from error
    return parse_file(data, Path(key).name, hdu)


def _new_memory(size: int) -> memoryview:
    return memoryview(bytearray(size))


def parse_file(data: bytes | memoryview, name: str, hdu: int | str | None = None) -> RawFile:
    """Parse the bytes of a FITS file; return them as a `RawFile`."""
    content = unpacked(data, name)
    unit = find_image(content, name, hdu)
    scaling = scaling_of(unit.words, name)
    try:
        pixels = _pixels(unit, content, name)
    except Exception as error:  # the decoders of compressed pixels raise many types of errors
        raise CorruptFile(
            f"{name}: the pixels cannot be read ({reason_in_file(error)}); the file is probably truncated, so copy it "
            "again"
        ) from error
    if pixels.ndim == 2:
        pixels = pixels[np.newaxis]
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise CorruptFile(
            f"{name}: the image has shape {pixels.shape}, but must be a frame or a cube of frames; give a raw file"
        )
    digest = hashlib.sha256(data).hexdigest()
    # Most files end after their first image: a second pass over all units is not needed.
    ends = hdu is None and unit.begin is not None and unit.begin + pixels.nbytes + FITS_BLOCK > len(content)
    names = (str(unit),) if ends else image_names(content, name)
    return RawFile(name, unit.words, pixels, scaling.offset, digest, scaling.scale, scaling.blank, names)


def _pixels(unit: ImageUnit, data: bytes | memoryview, name: str) -> NDArray[Any]:
    """Return the pixels of an image: a view of the file's bytes, or decompressed."""
    if unit.begin is None:
        with quiet(), opened(data, name) as hdus:
            pixels = np.asarray(hdus[unit.number].data)
            return pixels.astype(pixels.dtype.newbyteorder(">"), copy=False)
    kind = np.dtype(fits.BITPIX2DTYPE[unit.words["BITPIX"]]).newbyteorder(">")
    # A view, not a copy: copying a cube of 90 MB would take longer than its calibration.
    return np.frombuffer(data, kind, math.prod(unit.shape), unit.begin).reshape(unit.shape)


def as_meant(file: RawFile, profile: Profile) -> RawFile:
    """Return a file whose 16-bit pixels are interpreted as signed or unsigned, according to the profile.

    Raises
    ------
    CorruptFile
        The profile does not set `unsigned`, and pixels seem to have overflowed.
    """
    if file.frames.dtype != STORED or (file.offset, file.scale) != (0, 1) or profile.unsigned is False:
        return file
    if profile.unsigned:
        blank = None if file.blank is None else file.blank % 65536
        return replace(file, frames=file.frames.view(">u2"), blank=blank)
    for index, frame in enumerate(file.frames):
        count = run_over(frame)
        if count:
            raise CorruptFile(
                f"{file.name}: frame {index} has {count} negative pixels "
                f"{'in the sky' if has_negative_sky(frame) else 'in the middle of bright stars'}, down to "
                f"{frame.min()} ADU: the camera probably counts to 65535 and the file lacks BZERO = 32768; write "
                f"`unsigned: true` in the profile {profile.name}, or false if the pixels are really signed",
                value=count,
                limit=0,
            )
    return file


def _frame_shape(file: RawFile) -> tuple[int, int]:
    return file.frames.shape[1], file.frames.shape[2]


def assemble(files: Sequence[RawFile], profile: Profile) -> RawCube:
    """Combine the raw files of one sensor and exposure to a cube.

    Parameters
    ----------
    files
        One cube, or single frames in any order.

    Raises
    ------
    CorruptFile
        A file's shape does not fit the profile, a header keyword is missing, or two files contradict each other.
    """
    headers = [read_header(file.words, profile, file.name) for file in files]
    files = [as_meant(file, profile) for file in files]
    for file, header in zip(files, headers, strict=True):
        read_out(profile, header.binning, header.window, _frame_shape(file), file.name)
    order = sorted(range(len(files)), key=lambda i: (headers[i].utc_start, files[i].name))
    files, headers = [files[i] for i in order], [headers[i] for i in order]
    first = headers[0]
    for file, header in zip(files, headers, strict=True):
        for name in _words_in_common(first):
            its, others = getattr(header, name), getattr(first, name)
            if its != others and not (name == "exposure_s" and same_time(its, others)):
                raise CorruptFile(
                    f"{file.name}: {name} is {its!r}, but {others!r} in {files[0].name} of the same exposure; "
                    "correct one of the headers"
                )
    if len(files) == 1:
        start = first.utc_start + np.arange(files[0].frames.shape[0]) * first.frame_time_s / 86400
    elif any(file.frames.shape[0] != 1 for file in files):
        raise CorruptFile(
            f"{files[0].name} and {len(files) - 1} more files are of one sensor and exposure, and at least one is a "
            "cube; only single frames can be joined, so reduce each cube as a separate exposure"
        )
    else:
        start = np.array([header.utc_start for header in headers])
    frame_id = first.frame_id or Path(files[0].name).name.split(".fits")[0]
    return RawCube(first, frame_id, tuple(files), start)


def _words_in_common(header: RawHeader) -> tuple[str, ...]:
    """Return the quantities that all files of a cube must share; see `gozen.frames.exposure_grouping`.

    The filter is not compared for darks and biases, which are taken with the shutter closed.
    """
    always = ("sensor", "data_type", "gain", "binning", "window")
    kinds = {"OBJECT": ("object", "filter", "exposure_s"), "FLAT": ("filter",)}
    return (*always, *kinds.get(header.data_type, ("exposure_s",)))
