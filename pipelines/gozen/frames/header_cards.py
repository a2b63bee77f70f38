"""Parse the cards of a FITS header from its bytes, including non-standard ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from astropy.io import fits

Words = dict[str, Any]
_QUOTED = re.compile(r"'+([^']*)")
_LONG_NUMBER = 1e4
"""Number of days from which on the spacing of floats is more than a tenth of a microsecond."""
_COMMENTARY = ("COMMENT", "HISTORY", "CONTINUE", "")
END = "END".ljust(80)
_PLAIN = re.compile(
    r"(?=[A-Z0-9_ -]{8}= )(?!COMMENT |HISTORY |CONTINUE|END )(?P<word>[A-Z][A-Z0-9_-]{0,7}) *= +"
    r"(?:'(?P<text>[^']*)'|(?P<truth>[TF])|(?P<whole>-?[1-9][0-9]{0,8}|0)|(?P<real>-?[0-9]{1,4}\.[0-9]{1,12}))"
    r" *(?:/.*)?"
)
"""The form of most cards. Astropy's parser, which is ten times slower, reads all others."""
_PRINTABLE = dict.fromkeys((*range(32), *range(127, 160)), " ") | dict.fromkeys(range(160, 256), "?")


def header_words(data: bytes) -> Words:
    """Return the first value of each keyword in the bytes of a header; a card that cannot be parsed gives its text.

    A file is therefore refused only if a rule reads the invalid card, and the message names the card.
    """
    text = data.decode("latin-1").translate(_PRINTABLE)
    words: Words = {}
    for lines in _cards([_mended(text[start : start + 80]) for start in range(0, len(text), 80)]):
        plain = _PLAIN.fullmatch(lines)
        keyword, value = (plain["word"], _plain_value(plain)) if plain else _parsed(fits.Card.fromstring(lines))
        words.setdefault(keyword.upper(), value)
    return words


def _cards(lines: list[str]) -> Iterator[str]:
    """Yield each card up to the end of the header, together with its CONTINUE lines."""
    card = ""
    for line in lines:
        if line.startswith("CONTINUE") and card:
            card += line
            continue
        if card:
            yield card
        if line == END:
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
        # The raw keyword and value: astropy would split a text such as `word: 1` into a record-valued card.
        return card.rawkeyword, _all_digits(card)
    except (fits.VerifyError, ValueError):
        return card.keyword, _text_of(card)


def _all_digits(card: fits.Card) -> Any:
    """Return a card's value, or its text if it has more digits than a float can represent, as Julian dates do."""
    value = card.rawvalue
    if not isinstance(value, float) or abs(value) < _LONG_NUMBER:
        return value
    text = str(card.image[10:]).partition("/")[0].strip()
    return text if re.fullmatch(r"[0-9]+\.[0-9]+", text) and Decimal(text) != Decimal(repr(value)) else value


def _mended(line: str) -> str:
    """Return a card with the space that the standard requires after the equals sign, if the card lacks it."""
    value_follows = line[8:9] == "=" and line[9:10] != " " and line[79:] == " "
    return f"{line[:8]}= {line[9:79]}" if value_follows and line[:8].strip() not in _COMMENTARY else line


def _text_of(card: fits.Card) -> str:
    try:
        text = str(card.image)[9:].strip()
    except ValueError:
        return "characters that are not allowed in a FITS header"
    quoted = _QUOTED.match(text)
    return quoted[1].strip() if quoted else text.partition("/")[0].strip(" '")
