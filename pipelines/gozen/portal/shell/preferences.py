"""Language and theme of a person: chosen on the page and kept in cookies; by default as the browser requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Language = Literal["en", "ja"]
Theme = Literal["auto", "light", "dark"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
THEMES: tuple[Theme, ...] = get_args(Theme)
COOKIES = {"language": "gozen-language", "theme": "gozen-theme"}
"""Names of the cookies, by the name of the field of the form."""
CHOICES: Mapping[str, tuple[str, ...]] = {"language": LANGUAGES, "theme": THEMES}
"""Values that a form may set, by the name of its field."""
REMEMBER_S = 365 * 86400
"""Seconds for which a choice is remembered."""


@dataclass(frozen=True)
class Preferences:
    """The language and the theme in which a person sees the pages."""

    language: Language = "en"
    theme: Theme = "auto"


def preferences(cookies: Mapping[str, str], accept_language: str) -> Preferences:
    """Return the preferences of a request."""
    language, theme = cookies.get(COOKIES["language"]), cookies.get(COOKIES["theme"])
    chosen = language if language in LANGUAGES else preferred_language(accept_language)
    return Preferences(chosen, theme if theme in THEMES else "auto")


def preferred_language(accept_language: str) -> Language:
    """Return the language of the portal that a header ``Accept-Language`` ranks highest; else English."""
    ranks: dict[str, float] = {}
    for part in accept_language.split(","):
        tag, *parameters = (one.strip().lower() for one in part.split(";"))
        rank = next((_number(one[2:]) for one in parameters if one.startswith("q=")), 1.0)
        word = tag.split("-")[0]
        ranks[word] = max(rank, ranks.get(word, 0.0))
    best = max(LANGUAGES, key=lambda language: ranks.get(language, 0.0))
    return best if ranks.get(best) else "en"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
