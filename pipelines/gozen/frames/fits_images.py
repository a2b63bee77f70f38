"""Find images and headers in the bytes of a FITS file; pixels are not converted."""

from __future__ import annotations

import contextlib
import gzip
import io
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from gozen.archive.stores.range_file import RangedFile
from gozen.errors import CorruptFile
from gozen.frames.fits_units import FITS_BLOCK
from gozen.frames.header_cards import END, Words, header_words

_GZIP_MAGIC = b"\x1f\x8b"
_END_BYTES = END.encode()
_LONGEST_HEADER = 100 * FITS_BLOCK
_OF_AN_ARRAY = frozenset(
    ("SIMPLE", "XTENSION", "BITPIX", "NAXIS", "EXTEND", "PCOUNT", "GCOUNT", "GROUPS", "BZERO", "BSCALE", "BLANK")
).union(("EXTNAME", "EXTVER", "EXTLEVEL", "INHERIT", "CHECKSUM", "DATASUM"), (f"NAXIS{axis}" for axis in range(1, 10)))
"""Keywords that describe the array of their unit; an extension never inherits them from the primary header."""


@dataclass(frozen=True)
class ImageUnit:
    """One image of a FITS file.

    Parameters
    ----------
    number
        Number of its header and data unit (HDU); 0 is the primary one.
    name
        ``EXTNAME``; empty if there is none.
    words
        Its header; keywords that it lacks are inherited from the primary header.
    shape
        Shape as in NumPy: the fastest axis is last.
    begin
        Byte offset of its pixels in the file; None if they are compressed.
    """

    number: int
    name: str
    words: Mapping[str, Any]
    shape: tuple[int, ...]
    begin: int | None

    def __str__(self) -> str:
        return f"HDU {self.number}" + (f" ({self.name})" if self.name else "")

    def is_called(self, wanted: int | str) -> bool:
        """Return whether an HDU number, or a name (case does not matter), means this image."""
        if isinstance(wanted, int):
            return self.number == wanted
        return self.name.casefold() == wanted.strip().casefold()


def unpacked(data: bytes | memoryview, name: str) -> bytes | memoryview:
    """Return the bytes of a FITS file, decompressed if they are gzip data.

    Raises
    ------
    CorruptFile
        The file is empty or cannot be decompressed.
    """
    if len(data) == 0:
        raise CorruptFile(f"{name}: the file is empty; copy it again")
    if data[:2] != _GZIP_MAGIC:
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptFile(
            f"{name}: it cannot be decompressed ({error}); it is probably truncated, so copy it again"
        ) from error


def find_image(data: bytes | memoryview, name: str, hdu: int | str | None) -> ImageUnit:
    """Return the image that the profile names, or else the first image, of a decompressed file.

    The rest of the file is not read.

    Raises
    ------
    CorruptFile
        The file is not valid FITS, there is no such image, or a header cannot be read.
    """
    with quiet():
        first = _plain_first(data)
    if first is not None and (hdu is None or first.is_called(hdu)):
        return first
    seen = []
    with quiet(), opened(data, name, disable_image_compression=True) as hdus:
        for unit in _images(hdus, data, name):
            if hdu is None or unit.is_called(hdu):
                return unit
            seen.append(str(unit))
    if not seen:
        raise CorruptFile(f"{name}: the file contains no image; give a raw file of the camera")
    raise CorruptFile(
        f"{name}: the profile has `hdu: {hdu}`, but the file has no such image; its images are {', '.join(seen)}; "
        "give `hdu` one of these numbers or names"
    )


def image_names(data: bytes | memoryview, name: str) -> tuple[str, ...]:
    """Return number and name of each image of a decompressed file, up to the first unreadable header."""
    found = []
    with quiet(), opened(data, name, disable_image_compression=True) as hdus, contextlib.suppress(CorruptFile):
        for unit in _images(hdus, data, name):
            found.append(str(unit))  # noqa: PERF401 images before an unreadable header must be kept
    return tuple(found)


def opened(data: bytes | memoryview, name: str, **options: Any) -> fits.HDUList:
    """Open decompressed bytes as FITS, without a copy and without scaling the pixels."""
    memory = memoryview(data)
    file = RangedFile(len(memory), lambda start, stop: memory[start:stop])
    try:
        return fits.open(io.BufferedReader(file), do_not_scale_image_data=True, memmap=False, **options)
    except (OSError, EOFError, ValueError, TypeError, LookupError) as error:
        raise CorruptFile(
            f"{name}: it is not a FITS file, or it is damaged ({reason_in_file(error)}); copy it again, or leave it out"
        ) from error


def reason_in_file(error: BaseException) -> str:
    """Return the reason why FITS data cannot be read, without astropy's advice on its own options."""
    text = str(error)
    if "SIMPLE" in text:
        return "it does not begin with the keyword SIMPLE"
    if isinstance(error, KeyError):
        return f"the keyword {error.args[0]} is missing"
    return text or type(error).__name__


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress astropy's warnings on a damaged file: missing parts raise an error when pixels or keywords are read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        yield


def _plain_first(data: bytes | memoryview) -> ImageUnit | None:
    """Return the image at the start of a file; None if it needs astropy's parser, which takes five times as long."""
    header = _first_header(data)
    if not header.startswith(b"SIMPLE  =                    T"):
        return None
    words = header_words(header)
    axes = words.get("NAXIS")
    if (
        type(axes) is not int
        or not 2 <= axes <= 9
        or words.get("BITPIX") not in fits.BITPIX2DTYPE
        or words.get("GROUPS")
    ):
        return None
    lengths = (words.get(f"NAXIS{axis}") for axis in range(axes, 0, -1))
    shape = tuple(length for length in lengths if type(length) is int and length > 0)
    if len(shape) < axes:
        return None
    return ImageUnit(0, str(words.get("EXTNAME", "")).strip(), words, shape, len(header))


def _first_header(data: bytes | memoryview) -> bytes:
    """Return the blocks of the first header; empty if it does not end in the first `_LONGEST_HEADER` bytes."""
    for stop in range(FITS_BLOCK, min(len(data), _LONGEST_HEADER) + 1, FITS_BLOCK):
        block = bytes(data[stop - FITS_BLOCK : stop])
        if any(block[start : start + 80] == _END_BYTES for start in range(0, FITS_BLOCK, 80)):
            return bytes(data[:stop])
    return b""


def _images(hdus: fits.HDUList, data: bytes | memoryview, name: str) -> Iterator[ImageUnit]:
    primary: Words = {}
    try:
        for number, hdu in enumerate(hdus):
            place = hdu.fileinfo()
            words = header_words(bytes(data[place["hdrLoc"] : place["datLoc"]]))
            primary = primary or words
            unit = _image(number, hdu, words, place["datLoc"])
            if unit is not None:
                yield unit if number == 0 or words.get("INHERIT") is False else _inheriting(unit, primary)
    except (OSError, ValueError, TypeError, LookupError, fits.VerifyError) as error:
        raise CorruptFile(
            f"{name}: the header cannot be read ({reason_in_file(error)}); it is probably damaged, so copy it again"
        ) from error


def _image(number: int, hdu: Any, words: Words, begin: int) -> ImageUnit | None:
    if isinstance(hdu, fits.BinTableHDU) and words.get("ZIMAGE") is True:
        words, place = _of_compressed(words), None
    elif isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU):
        place = begin
    else:
        return None
    shape = tuple(int(words[f"NAXIS{axis}"]) for axis in range(int(words["NAXIS"]), 0, -1))
    if min(shape, default=0) < 0:
        raise ValueError(f"an axis has {min(shape)} pixels")
    return ImageUnit(number, str(words.get("EXTNAME", "")).strip(), words, shape, place) if len(shape) > 1 else None


def _inheriting(unit: ImageUnit, primary: Words) -> ImageUnit:
    taken = {word: value for word, value in primary.items() if word not in _OF_AN_ARRAY}
    return ImageUnit(unit.number, unit.name, taken | dict(unit.words), unit.shape, unit.begin)


def _of_compressed(words: Words) -> Words:
    """Return the header of a compressed image; its table stores some keywords under other names (``ZNAXIS``)."""
    own = {word: value for word, value in words.items() if not word.startswith(("ZNAXIS", "NAXIS"))}
    own |= {word[1:]: value for word, value in words.items() if word.startswith("ZNAXIS")}
    own["BITPIX"] = words["ZBITPIX"]
    # Both ZBLANK and BLANK are in use for the value of an undefined pixel in an image of integers.
    if "ZBLANK" in words:
        own["BLANK"] = words["ZBLANK"]
    return own
