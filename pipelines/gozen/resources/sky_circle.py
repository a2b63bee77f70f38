"""A circle on the sky, by which data are selected."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gozen.errors import BadRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class SkyCircle:
    """A circle on the sky.

    Parameters
    ----------
    ra, dec
        Centre, ICRS degrees.
    radius_deg
        Radius, degrees.
    """

    ra: float
    dec: float
    radius_deg: float

    @classmethod
    def read(cls, text: str) -> SkyCircle:
        """Parse ``RA,DEC,RADIUS`` (degrees); raise `BadRequest` if the text has another form."""
        try:
            ra, dec, radius = (float(part) for part in text.split(","))
        except ValueError:
            raise BadRequest(
                f"region {text!r} is not a circle; write RA,DEC,RADIUS in degrees, such as 83.8,-5.4,0.5"
            ) from None
        if not (0 <= ra < 360 and -90 <= dec <= 90 and 0 < radius <= 180):
            raise BadRequest(f"region {text!r}: RA is from 0 to 360, DEC from -90 to 90, RADIUS above 0")
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
        """Return which positions (degrees, shape (N,)) are in the circle; NaN is not."""
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
