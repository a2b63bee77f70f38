"""The images in the bytes of a FITS file and their header words, as cameras write them; pixels stay bytes."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from gozen.archive.ranges import RangedFile
from gozen.errors import CorruptFile

Words = dict[str, Any]
_GZIP_MAGIC = b"\x1f\x8b"
_QUOTED = re.compile(r"'+([^']*)")
_LONG_NUMBER = 1e4
"""From which on a float of days is coarser than a tenth of a microsecond."""
_COMMENTARY = ("COMMENT", "HISTORY", "CONTINUE", "")
_OF_AN_ARRAY = frozenset(
    ("SIMPLE", "XTENSION", "BITPIX", "NAXIS", "EXTEND", "PCOUNT", "GCOUNT", "GROUPS", "BZERO", "BSCALE", "BLANK")
).union(("EXTNAME", "EXTVER", "EXTLEVEL", "INHERIT", "CHECKSUM", "DATASUM"), (f"NAXIS{axis}" for axis in range(1, 10)))
"""Words that describe their own array, so that an extension never takes them from the primary header."""
_END = "END".ljust(80)
_PLAIN = re.compile(
    r"(?=[A-Z0-9_ -]{8}= )(?!COMMENT |HISTORY |CONTINUE|END )(?P<word>[A-Z][A-Z0-9_-]{0,7}) *= +"
    r"(?:'(?P<text>[^']*)'|(?P<truth>[TF])|(?P<whole>-?[1-9][0-9]{0,8}|0)|(?P<real>-?[0-9]{1,4}\.[0-9]{1,12}))"
    r" *(?:/.*)?"
)
"""What most cards look like. Astropy's parser takes ten times as long for one, and reads all others."""
_PRINTABLE = dict.fromkeys((*range(32), *range(127, 160)), " ") | dict.fromkeys(range(160, 256), "?")


@dataclass(frozen=True)
class ImageUnit:
    """One image of a FITS file.

    Parameters
    ----------
    number
        Of its header and data unit: 0 is the primary one.
    name
        ``EXTNAME``; empty where there is none.
    words
        Its header, with the primary header's words where it lacks them.
    shape
        As in NumPy: the fastest axis last.
    begin
        Where its pixels begin in the file, bytes; None where they are compressed.
    """

    number: int
    name: str
    words: Mapping[str, Any]
    shape: tuple[int, ...]
    begin: int | None

    def __str__(self) -> str:
        return f"HDU {self.number}" + (f" ({self.name})" if self.name else "")

    def is_called(self, wanted: int | str) -> bool:
        """Tell whether a number, or a name in small or capital letters, means this image."""
        if isinstance(wanted, int):
            return self.number == wanted
        return self.name.casefold() == wanted.strip().casefold()


def unpacked(data: bytes | memoryview, name: str) -> bytes | memoryview:
    """Return the bytes of a FITS file, which may come packed by gzip.

    Raises
    ------
    CorruptFile
        There are none, or they cannot be unpacked.
    """
    if len(data) == 0:
        raise CorruptFile(f"{name}: the file is empty")
    if data[:2] != _GZIP_MAGIC:
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptFile(f"{name}: it cannot be unpacked ({error}); it is probably truncated") from error


def find_image(data: bytes | memoryview, name: str, hdu: int | str | None) -> ImageUnit:
    """Return the image of an unpacked file that a profile names, or the first one; nothing behind it is looked at.

    Raises
    ------
    CorruptFile
        It is no FITS file, there is no such image, or a header cannot be read.
    """
    seen = []
    with quiet(), opened(data, name, disable_image_compression=True) as hdus:
        for unit in _images(hdus, data, name):
            if hdu is None or unit.is_called(hdu):
                return unit
            seen.append(str(unit))
    if not seen:
        raise CorruptFile(f"{name}: the file holds no image")
    raise CorruptFile(f"{name}: no image is HDU {hdu!r}, which the profile names as `hdu`; there is {', '.join(seen)}")


def image_names(data: bytes | memoryview, name: str) -> tuple[str, ...]:
    """Return number and name of each image of an unpacked file, as far as its headers can be read."""
    found = []
    with quiet(), opened(data, name, disable_image_compression=True) as hdus, contextlib.suppress(CorruptFile):
        for unit in _images(hdus, data, name):
            found.append(str(unit))  # noqa: PERF401 those before a header that cannot be read count
    return tuple(found)


def opened(data: bytes | memoryview, name: str, **options: Any) -> fits.HDUList:
    """Open unpacked bytes as FITS, without a copy of them and with pixels as they are stored."""
    memory = memoryview(data)
    file = RangedFile(len(memory), lambda start, stop: memory[start:stop])
    try:
        return fits.open(io.BufferedReader(file), do_not_scale_image_data=True, memmap=False, **options)
    except (OSError, EOFError, ValueError, TypeError, LookupError) as error:
        raise CorruptFile(f"{name}: no FITS file ({error})") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Read a damaged file as far as it goes; what is missing shows when the pixels or the words are read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        yield


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
        raise CorruptFile(f"{name}: the header cannot be read ({error})") from error


def _image(number: int, hdu: Any, words: Words, begin: int) -> ImageUnit | None:
    if isinstance(hdu, fits.BinTableHDU) and words.get("ZIMAGE") is True:
        words, place = _of_compressed(words), None
    elif isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU):
        place = begin
    else:
        return None
    shape = tuple(int(words[f"NAXIS{axis}"]) for axis in range(int(words["NAXIS"]), 0, -1))
    if min(shape, default=0) < 0:
        raise ValueError(f"an axis of {min(shape)} pixels")
    return ImageUnit(number, str(words.get("EXTNAME", "")).strip(), words, shape, place) if len(shape) > 1 else None


def _inheriting(unit: ImageUnit, primary: Words) -> ImageUnit:
    taken = {word: value for word, value in primary.items() if word not in _OF_AN_ARRAY}
    return ImageUnit(unit.number, unit.name, taken | dict(unit.words), unit.shape, unit.begin)


def _of_compressed(words: Words) -> Words:
    """Return the words of a compressed image, of which the table that holds it keeps some under other names."""
    own = {word: value for word, value in words.items() if not word.startswith(("ZNAXIS", "NAXIS"))}
    own |= {word[1:]: value for word, value in words.items() if word.startswith("ZNAXIS")}
    own["BITPIX"] = words["ZBITPIX"]
    # Both are in use for the value of an undefined pixel in an image of integers.
    if "ZBLANK" in words:
        own["BLANK"] = words["ZBLANK"]
    return own


def header_words(data: bytes) -> Words:
    """Return the first value of each word in the bytes of a header; a card that cannot be parsed stays as its text.

    So only a rule that reads such a card refuses the file, and names it.
    """
    text = data.decode("latin-1").translate(_PRINTABLE)
    words: Words = {}
    for lines in _cards([_mended(text[start : start + 80]) for start in range(0, len(text), 80)]):
        plain = _PLAIN.fullmatch(lines)
        keyword, value = (plain["word"], _plain_value(plain)) if plain else _parsed(fits.Card.fromstring(lines))
        words.setdefault(keyword.upper(), value)
    return words


def _cards(lines: list[str]) -> Iterator[str]:
    """Yield each card up to the end of the header, with the lines that continue it."""
    card = ""
    for line in lines:
        if line.startswith("CONTINUE") and card:
            card += line
            continue
        if card:
            yield card
        if line == _END:
            return
        card = line
    if card:
        yield card


def _plain_value(card: re.Match[str]) -> Any:
    if card["text"] is not None:
        return card["text"].rstrip(" ")
    if card["truth"]:
        return card["truth"] == "T"
    return int(card["whole"]) if card["whole"] else float(card["real"])


def _parsed(card: fits.Card) -> tuple[str, Any]:
    try:
        # The raw ones: a text of word, colon and number is no record of several values here.
        return card.rawkeyword, _all_digits(card)
    except (fits.VerifyError, ValueError):
        return card.keyword, _text_of(card)


def _all_digits(card: fits.Card) -> Any:
    """Return a card's value; as its text where it has more digits than a float keeps, as Julian dates do."""
    value = card.rawvalue
    if not isinstance(value, float) or abs(value) < _LONG_NUMBER:
        return value
    text = str(card.image[10:]).partition("/")[0].strip()
    return text if re.fullmatch(r"[0-9]+\.[0-9]+", text) and Decimal(text) != Decimal(repr(value)) else value


def _mended(line: str) -> str:
    """Return a card whose value follows its equals sign directly in the form of the standard."""
    value_follows = line[8:9] == "=" and line[9:10] != " " and line[79:] == " "
    return f"{line[:8]}= {line[9:79]}" if value_follows and line[:8].strip() not in _COMMENTARY else line


def _text_of(card: fits.Card) -> str:
    try:
        text = str(card.image)[9:].strip()
    except ValueError:
        return "characters that no FITS header may hold"
    quoted = _QUOTED.match(text)
    return quoted[1].strip() if quoted else text.partition("/")[0].strip(" '")
