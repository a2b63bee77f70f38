"""The provenance of a product: code, settings, inputs, as stored in commits, FITS headers and Parquet metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Card = tuple[str, str | int | float, str]

SHA256 = r"^[0-9a-f]{64}$"


class _ProvenancePart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Fit = Literal["exact", "scaled", "nearest", "filter not stated"]


class MasterMatch(_ProvenancePart):
    """How well a calibration master matches the frames, and the values of its header that were compared."""

    fit: Fit = Field(description="Exact match, dark of another exposure time, or flat without filter")
    camera: str = Field("", description="Name of the instrument profile")
    gain: str = ""
    filter: str = ""
    exposure_s: float | None = Field(None, description="Net exposure time of one of its frames, seconds")
    binning: str = "1x1"
    window: str = Field("", description="FITS section in full pixels; empty for the full frame")


class CalibrationUsed(_ProvenancePart):
    """A calibration master that was used for a reduction."""

    key: str = Field(description="Key in the archive, or the name of a file")
    sha256: str = Field(pattern=SHA256)
    age_days: float | None = Field(None, description="Days from the exposure of the master to this exposure")
    match: MasterMatch | None = Field(None, description="None in records of an older version")


class ReferenceUsed(_ProvenancePart):
    """The reference catalogue to which the WCS and the zero point were fitted."""

    name: str
    sha256: str = Field(pattern=SHA256)


class Provenance(_ProvenancePart):
    """Code, recipe, parameters, calibration and inputs of one processing of one sensor, but not its time."""

    code_version: str = Field(description="Number, commit and digest of the sources, as printed by `gozen --version`")
    image_digest: str = Field("", description="Digest of the container image; empty outside a container")
    recipe_name: str = ""
    recipe: str = Field("", description="The recipe's text, verbatim")
    parameters: Mapping[str, Any] = Field(default_factory=dict, description="The settings on which the result depends")
    calibration: Mapping[str, CalibrationUsed] = Field(
        default_factory=dict, description="Masters by kind: bias, dark, flat; dark2 and so on if several were needed"
    )
    reference: ReferenceUsed | None = None
    inputs: Mapping[str, str] = Field(default_factory=dict, description="Name of each input and its SHA-256")

    @field_validator("parameters", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        # Tuples and paths would come back from JSON as other types: a commit that was read again would not be equal.
        return json.loads(json.dumps(value, default=str))

    def as_json(self) -> str:
        """Return one line of JSON with sorted keys."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)

    def as_cards(self) -> list[Card]:
        """Return FITS header cards: keyword, value, comment.

        Keywords have at most eight characters. A digest has no comment because it fills its card. ``GZINnnnn`` is the
        name of an input and ``GZSHnnnn`` its SHA-256. Each parameter has a ``HISTORY`` card.
        """
        cards: list[Card] = [("GZVERS", self.code_version, "version of Gozen")]
        if self.image_digest:
            cards.append(("GZIMAGE", self.image_digest.removeprefix("sha256:"), ""))
        if self.recipe:
            cards.append(("GZRECSHA", sha256(self.recipe.encode()), ""))
        if self.recipe_name:
            cards.append(("GZRECIPE", self.recipe_name, "recipe"))
        for kind, used in sorted(self.calibration.items()):
            cards += _calibration_cards(kind.upper(), used)
        if self.reference:
            cards += [("REFCAT", self.reference.name, "reference catalogue"), ("REFSHA", self.reference.sha256, "")]
        cards.append(("GZNINPUT", len(self.inputs), "number of input files"))
        for number, (name, digest) in enumerate(sorted(self.inputs.items()), start=1):
            cards += [(f"GZIN{number:04d}", name, ""), (f"GZSH{number:04d}", digest, "")]
        cards += [("HISTORY", f"{name} = {value}", "") for name, value in _flat(self.parameters)]
        return [(word, _ascii(value), comment) for word, value, comment in cards]

    def as_metadata(self) -> dict[bytes, bytes]:
        """Return key-value metadata for a Parquet file: the code version, and the complete provenance as JSON."""
        return {b"gozen.version": self.code_version.encode(), b"gozen.provenance": self.as_json().encode()}


def sha256(data: bytes) -> str:
    """Return the SHA-256 of some bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _calibration_cards(word: str, used: CalibrationUsed) -> list[Card]:
    cards: list[Card] = [(f"{word}KEY", used.key, ""), (f"{word}SHA", used.sha256, "")]
    if used.age_days is not None:
        cards.append((f"{word}AGE", round(used.age_days, 4), "[d] from that exposure to this one"))
    if used.match is not None:
        cards.append((f"{word}FIT", used.match.fit, "how well it fits"))
    return cards


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in sorted(parameters.items()):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", json.dumps(value)


def _ascii(value: str | int | float) -> str | int | float:
    # A FITS header may contain only ASCII, but a recipe may contain other characters.
    return value.encode("ascii", "backslashreplace").decode("ascii") if isinstance(value, str) else value
