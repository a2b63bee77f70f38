"""Define a profile's rules that find quantities in a header: keyword, kind, unit. `read_header` applies them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

TIME_KINDS = ("utc", "local", "jd", "mjd", "unix")


class WordPart(BaseModel):
    """Base class of the parts of a profile: unknown keys are refused, and values are read-only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, ignored_types=(cached_property,))


_upper_case = BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)
TimeScale = Annotated[Literal["UTC", "TAI", "TT", "TDB", "GPS"], _upper_case]


def _header_word(text: str) -> str:
    word = " ".join(text.upper().split()).removeprefix("HIERARCH ")
    if not word:
        raise ValueError("the name of a header keyword is empty")
    return word


HeaderWord = Annotated[str, AfterValidator(_header_word)]


class WordRule(WordPart):
    """The rule that reads one quantity from a header: a keyword, several joined keywords, or a constant."""

    word: HeaderWord | None = None
    words: tuple[HeaderWord, ...] = ()
    value: str | float | int | None = None
    kind: Literal["text", "number", "integer", "hours", "degrees", "utc", "local", "jd", "mjd", "unix"] = "text"
    scale: float = 1.0
    values: Mapping[str, str] = Field(default_factory=dict, description="Gozen's name for each value in the file")
    optional: bool = False
    timesys: TimeScale | None = Field(None, description="Time scale of the keyword; it overrides the header's TIMESYS")
    moment: Literal["start", "middle", "end"] = Field("start", description="Moment that the keyword contains")

    @model_validator(mode="after")
    def _timesys_fits_the_kind(self) -> Self:
        if self.timesys is not None and self.kind not in ("utc", "jd", "mjd"):
            raise ValueError(f"timesys applies only to the kinds utc, jd and mjd, and not to {self.kind}; leave it out")
        return self

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum((self.word is not None, bool(self.words), self.value is not None)) != 1:
            raise ValueError("give exactly one of `word`, `words` and `value`")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """The keywords that are read; none for a constant."""
        return self.words or ((self.word,) if self.word else ())


def _number(rule: WordRule) -> WordRule:
    return rule if "kind" in rule.model_fields_set else rule.model_copy(update={"kind": "number"})


NumberRule = Annotated[WordRule, AfterValidator(_number)]
"""A rule whose kind is `number` unless the profile gives another."""


class WindowRule(WordRule):
    """The rule for the part of the sensor that was read out: a FITS section, or numbers in four keywords."""

    form: Literal["section", "ends", "size"] = Field(
        "section", description="`ends`: keywords for x1, x2, y1, y2; `size`: keywords for x1, y1, columns, rows"
    )
    first: Literal[0, 1] = Field(1, description="Number of the sensor's first column and row")
    binned: bool = Field(False, description="Whether the numbers count binned pixels, not those of the sensor")


class HeaderWords(WordPart):
    """The rules for all quantities in a raw file's header."""

    object: WordRule
    data_type: WordRule
    utc_start: WordRule = Field(description="Time at which the exposure of the first pixel of the first frame starts")
    exposure_s: NumberRule = Field(description="Net exposure time of one frame, seconds")
    frame_time_s: NumberRule | None = Field(None, description="Time from frame to frame of a cube, seconds")
    row_time_s: NumberRule | None = Field(None, description="Time from row to row of a rolling shutter, seconds")
    utc_sequence: WordRule | None = Field(
        None, description="Time at which the camera began the frames; not later than utc_start"
    )
    ra: WordRule | None = None
    dec: WordRule | None = None
    sensor: WordRule = WordRule(value="1")
    exposure_id: WordRule | None = None
    frame_id: WordRule | None = None
    gain: WordRule | None = Field(None, description="Name of the amplifier setting")
    filter: WordRule | None = None
    binning: WordRule | None = Field(None, description="Binning of the frame: `2`, `2x2`, or two keywords for x and y")
    window: WindowRule | None = Field(None, description="FITS section of the sensor that was read, in unbinned pixels")
    pipelines: WordRule | None = None
    project: WordRule | None = None
    observer: WordRule | None = None

    @model_validator(mode="after")
    def _times_are_times(self) -> Self:
        for name in type(self).model_fields:
            rule: WordRule | None = getattr(self, name)
            if name in ("utc_start", "utc_sequence") and rule and rule.kind not in TIME_KINDS:
                raise ValueError(
                    f"{name} has `kind: {rule.kind}`, but it is a time; give one of the kinds {', '.join(TIME_KINDS)}"
                )
            if name != "utc_start" and rule and rule.moment != "start":
                raise ValueError(f"{name} has `moment: {rule.moment}`, which only utc_start can have; leave it out")
        if self.utc_start.optional:
            raise ValueError("utc_start is optional: a frame without a time cannot be reduced; leave `optional` out")
        return self
