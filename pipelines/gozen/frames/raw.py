"""Raw data of one sensor and exposure: one cube file or a file for each frame, read frame by frame.

Nothing here calibrates; a file that is not what it promises is a `CorruptFile`.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import math
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray

from gozen.archive.interface import named_errors
from gozen.archive.ranges import RangedFile
from gozen.archive.store import Store
from gozen.errors import CorruptFile
from gozen.frames.belonging import same_time
from gozen.instrument.header import RawHeader, read_header
from gozen.instrument.profile import Profile

_GZIP_MAGIC = b"\x1f\x8b"
_HEAD_BYTES = 256 * 1024
"""Of a file, which hold the header of almost any; the pixels of a cube are 90 MB."""
Pixels = NDArray[np.uint16] | NDArray[np.float32]
Stored = NDArray[np.int16]
STORED = np.dtype(">i2")
"""How FITS keeps uint16: big-endian, with 32768 subtracted (``BZERO``)."""


def native(pixels: Pixels | Stored) -> Pixels:
    """Return pixels in native order; those in FITS's form of uint16 become uint16."""
    if pixels.dtype != STORED:
        return cast("Pixels", pixels)
    # Adding 32768 to a two's complement number flips its highest bit.
    swapped: NDArray[np.uint16] = pixels.byteswap().view(np.uint16)
    swapped ^= np.uint16(0x8000)
    return swapped


@dataclass(frozen=True)
class RawFile:
    """One raw file: its header words and its frames.

    Parameters
    ----------
    frames
        Pixels of shape (frames, rows, columns); big-endian integers stay as they stand in the file.
    offset
        What is added to an integer pixel (``BZERO``).
    """

    name: str
    words: Mapping[str, Any]
    frames: NDArray[Any]
    offset: float
    sha256: str

    def frame(self, index: int) -> Pixels:
        """Return one frame in native order: uint16 for 16-bit data, else float32."""
        return native(self.stored(index))

    def stored(self, index: int) -> Pixels | Stored:
        """Return one frame as it lies in the file where that is FITS's form of uint16, else as `frame` does."""
        pixels: Any = self.frames[index]
        if pixels.dtype == STORED and self.offset == 32768:
            return cast("Stored", pixels)
        shifted: NDArray[np.float32] = pixels.astype(np.float32) + np.float32(self.offset)
        return shifted


@dataclass(frozen=True)
class RawCube:
    """All frames of one sensor in one exposure, in the order of time.

    Parameters
    ----------
    header
        The quantities of the first file.
    frame_id
        Name of the cube, after which its products are called.
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
        """SHA-256 of each file."""
        return {file.name: file.sha256 for file in self.files}

    def frame(self, index: int) -> Pixels:
        """Return the raw pixels of one frame, shape (rows, columns)."""
        return native(self.stored(index))

    def stored(self, index: int) -> Pixels | Stored:
        """Return the same as it lies in the file, where that is FITS's form of uint16: no copy is made."""
        if len(self.files) == 1:
            return self.files[0].stored(index)
        return self.files[index].stored(0)


def read_words(source: Path | IO[bytes]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Read the header of the first image in a FITS file, and its shape.

    Raises
    ------
    CorruptFile
        The file is no FITS file or holds no image.
    StorageUnavailable, MissingObject
        It cannot be read.
    """
    name = str(source) if isinstance(source, Path) else str(getattr(source, "name", "stream"))
    with named_errors(name, "read"), contextlib.ExitStack() as opened:
        stream = opened.enter_context(source.open("rb")) if isinstance(source, Path) else source
        head = stream.read(_HEAD_BYTES)
        try:
            return _words_and_shape(head, name)
        except CorruptFile:
            rest = stream.read()
            if not rest:
                raise
    return _words_and_shape(head + rest, name)


def words_of_image(header: bytes, name: str) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Read a header that begins a file and describes an image, as `read_words` does, in a third of the time.

    Raises
    ------
    CorruptFile
        The lengths of its axes cannot be read.
    """
    with _quiet():
        words = _words(fits.Header.fromstring(header))
    try:
        axes = [int(words[f"NAXIS{axis}"]) for axis in range(int(words["NAXIS"]), 0, -1)]
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptFile(f"{name}: the header cannot be read ({error})") from error
    return words, tuple(axes)


def _words_and_shape(data: bytes, name: str) -> tuple[dict[str, Any], tuple[int, ...]]:
    with _quiet(), _open(data, name) as hdus:
        image = _first_image(hdus, name)
        return _words(image.header), tuple(image.shape)


def read_file(store: Store, key: str, room: Callable[[int], memoryview] | None = None) -> RawFile:
    """Read one raw file from the archive.

    Parameters
    ----------
    room
        Lends memory for the file's bytes, which the frames lie in; new memory by default.

    Raises
    ------
    CorruptFile
        It is truncated, no FITS file, or holds no image.
    """
    return parse_file(store.read_into(key, room or _new_memory), Path(key).name)


def _new_memory(size: int) -> memoryview:
    return memoryview(bytearray(size))


def parse_file(data: bytes | memoryview, name: str) -> RawFile:
    """Make a raw file of the bytes of a FITS file."""
    with _quiet(), _open(data, name) as hdus:
        image = _first_image(hdus, name)
        header = _words(image.header)
        try:
            pixels = _pixels(image, data)
        except Exception as error:  # the decoders of compressed pixels raise types of their own
            raise CorruptFile(f"{name}: the pixels cannot be read ({error}); the file is probably truncated") from error
    if pixels.ndim == 2:
        pixels = pixels[np.newaxis]
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise CorruptFile(f"{name}: the image has shape {pixels.shape}; a frame or a cube of frames is expected")
    offset, scale = _scaling(header, "BZERO", 0.0, name), _scaling(header, "BSCALE", 1.0, name)
    if scale != 1.0:
        pixels, offset = pixels * scale + offset, 0.0
    return RawFile(name, header, pixels, offset, hashlib.sha256(data).hexdigest())


def _pixels(image: Any, data: bytes | memoryview) -> NDArray[Any]:
    """Return the pixels of an image: where they lie in the file's bytes, or decompressed."""
    place = None if data[:2] == _GZIP_MAGIC or isinstance(image, fits.CompImageHDU) else image.fileinfo()
    if place is None:
        return np.asarray(image.data)
    kind = np.dtype(fits.BITPIX2DTYPE[image.header["BITPIX"]]).newbyteorder(">")
    # A copy of a cube of 90 MB would take longer than its calibration.
    return np.frombuffer(data, kind, math.prod(image.shape), place["datLoc"]).reshape(image.shape)


def assemble(files: Sequence[RawFile], profile: Profile) -> RawCube:
    """Make a cube of the raw files of one sensor and exposure.

    Parameters
    ----------
    files
        One cube, or single frames in any order.

    Raises
    ------
    CorruptFile
        A file's shape is not the profile's, a header word is missing, or two files contradict one another.
    """
    headers = [read_header(file.words, profile, file.name) for file in files]
    for file in files:
        if file.frames.shape[1:] != profile.shape:
            raise CorruptFile(
                f"{file.name}: a frame has {file.frames.shape[2]} columns and {file.frames.shape[1]} rows, "
                f"the profile {profile.name} says {profile.shape[1]} and {profile.shape[0]}"
            )
    order = sorted(range(len(files)), key=lambda i: (headers[i].utc_start, files[i].name))
    files, headers = [files[i] for i in order], [headers[i] for i in order]
    first = headers[0]
    for file, header in zip(files, headers, strict=True):
        for name in _words_in_common(first):
            its, others = getattr(header, name), getattr(first, name)
            if its != others and not (name == "exposure_s" and same_time(its, others)):
                raise CorruptFile(
                    f"{file.name}: {name} is {its!r}, but {others!r} in {files[0].name} of the same exposure"
                )
    if len(files) == 1:
        start = first.utc_start + np.arange(files[0].frames.shape[0]) * first.frame_time_s / 86400
    elif any(file.frames.shape[0] != 1 for file in files):
        raise CorruptFile(f"{files[0].name} and {len(files) - 1} more files of one sensor: cubes cannot be joined")
    else:
        start = np.array([header.utc_start for header in headers])
    frame_id = first.frame_id or Path(files[0].name).name.split(".fits")[0]
    return RawCube(first, frame_id, tuple(files), start)


def _words_in_common(header: RawHeader) -> tuple[str, ...]:
    """Return the words that all files of a cube must share; see `gozen.frames.belonging`."""
    always = ("sensor", "data_type", "gain", "binning", "window")
    kinds = {"OBJECT": ("object", "filter", "exposure_s"), "FLAT": ("filter",)}
    return (*always, *kinds.get(header.data_type, ("exposure_s",)))


def _open(data: bytes | memoryview, name: str) -> fits.HDUList:
    if len(data) == 0:
        raise CorruptFile(f"{name}: the file is empty")
    try:
        if data[:2] == _GZIP_MAGIC:
            data = gzip.decompress(data)
        memory = memoryview(data)  # without a copy of it
        file = RangedFile(len(memory), lambda start, stop: memory[start:stop])
        return fits.open(io.BufferedReader(file), do_not_scale_image_data=True, memmap=False)
    except (OSError, EOFError, zlib.error, ValueError, TypeError, LookupError) as error:
        raise CorruptFile(f"{name}: no FITS file ({error})") from error


def _first_image(hdus: fits.HDUList, name: str) -> Any:
    try:
        for hdu in hdus:
            if isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU) and len(hdu.shape) >= 2:
                return hdu
    except (OSError, ValueError, TypeError, LookupError, fits.VerifyError) as error:
        raise CorruptFile(f"{name}: the header cannot be read ({error})") from error
    raise CorruptFile(f"{name}: the file holds no image")


def _words(header: fits.Header) -> dict[str, Any]:
    # A card that cannot be parsed stays as its text, so that only a rule that reads it refuses the file, and names it.
    words: dict[str, Any] = {}
    for card in header.cards:
        try:
            value = card.value
        except (fits.VerifyError, ValueError):
            value = _text_of(card)
        words.setdefault(card.keyword.upper(), value)
    return words


def _text_of(card: fits.Card) -> str:
    try:
        return str(card.image[9:].strip(" '"))
    except ValueError:
        return "characters that no FITS header may hold"


def _scaling(words: Mapping[str, Any], word: str, default: float, name: str) -> float:
    value = words.get(word, default)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise CorruptFile(f"{name}: {word} = {value!r} is no number, so that the pixels mean nothing") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # A damaged file is read as far as it goes; what is missing shows when the pixels or the words are read.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        yield
