"""A circle on the sky, by which data are selected."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gozen.errors import BadRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def position_fault(ra: float, dec: float) -> str | None:
    """Return what is wrong with a position (ICRS degrees); None if it is on the sky.

    A right ascension outside 0 to 360 degrees is a mistake in the unit, the sign or the column. It is not reduced to
    this range, because the result would be a different place without any message.
    """
    if not 0 <= ra < 360:
        return f"ra is {ra:g}; it must be at least 0 and less than 360 degrees"
    if not -90 <= dec <= 90:
        return f"dec is {dec:g}; it must be from -90 to 90 degrees"
    return None


def circle_fault(ra: float, dec: float, radius_deg: float) -> str | None:
    """Return what is wrong with a circle (degrees); None if it is a circle on the sky."""
    if not 0 < radius_deg <= 180:
        return f"the radius is {radius_deg:g} degrees; it must be more than 0 and at most 180 degrees"
    return position_fault(ra, dec)


@dataclass(frozen=True)
class SkyCircle:
    """A circle on the sky.

    Parameters
    ----------
    ra, dec
        Centre, ICRS degrees; the right ascension is at least 0 and less than 360.
    radius_deg
        Radius, degrees.

    Raises
    ------
    BadRequest
        It is not a circle on the sky.
    """

    ra: float
    dec: float
    radius_deg: float

    def __post_init__(self) -> None:
        fault = circle_fault(self.ra, self.dec, self.radius_deg)
        if fault is not None:
            raise BadRequest(f"ra {self.ra:g}, dec {self.dec:g} is not a circle on the sky: {fault}")

    @classmethod
    def read(cls, text: str) -> SkyCircle:
        """Parse ``RA,DEC,RADIUS`` (degrees); raise `BadRequest` if the text has another form."""
        try:
            ra, dec, radius = (float(part) for part in text.split(","))
        except ValueError:
            raise BadRequest(
                f"region {text!r} is not a circle; write RA,DEC,RADIUS in degrees, such as 83.8,-5.4,0.5"
            ) from None
        return cls(ra, dec, radius)

    def __str__(self) -> str:
        """Return the text that `read` parses."""
        return f"{self.ra},{self.dec},{self.radius_deg}"

    @property
    def radius_arcsec(self) -> float:
        """The radius in arcsec, without rounding errors of the conversion."""
        return round(self.radius_deg * 3600, 9)

    def touches(self, ra: float, dec: float, reach_deg: float = 0.0) -> bool:
        """Return whether a circle of radius ``reach_deg`` around a position overlaps this one."""
        return separation_deg(self.ra, self.dec, ra, dec) <= self.radius_deg + reach_deg

    def contains(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which positions (degrees, shape (N,)) are in the circle; positions with NaN are not."""
        import numpy as np

        a, b = np.radians(self.dec), np.radians(dec)
        half = np.sin((b - a) / 2) ** 2 + np.cos(b) * np.cos(a) * np.sin(np.radians(ra - self.ra) / 2) ** 2
        with np.errstate(invalid="ignore"):
            return np.asarray(2 * np.arcsin(np.sqrt(half)) <= np.radians(self.radius_deg))


def separation_deg(ra1: float, dec1: float, ra2: float, dec2: float) -> float:
    """Return the angle between two positions on the sky, degrees (haversine: accurate for small angles)."""
    a, b = math.radians(dec1), math.radians(dec2)
    half = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(ra2 - ra1) / 2) ** 2
    return math.degrees(2 * math.asin(math.sqrt(min(half, 1.0))))
