"""WCS of a solved field: TAN projection with SIP distortion, conversion of coordinates, FITS cards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gozen.astrometry.tangent_plane import Projection

Floats = NDArray[np.float64]
Card = tuple[str, str | float | int, str]


def powers(order: int) -> list[tuple[int, int]]:
    """Return the exponents (p, q) of the terms of a SIP polynomial, from order 2 up to `order`."""
    return [(p, total - p) for total in range(2, order + 1) for p in range(total, -1, -1)]


@dataclass(frozen=True)
class Solution:
    """The WCS of one stack.

    It follows the SIP convention (Shupe et al. 2005, ASP Conf. 347, 491): the polynomials A and B shift pixel positions
    before the linear projection; AP and BP are the inverse of that shift.

    Parameters
    ----------
    linear
        The linear projection of shifted pixels.
    order
        Order of the distortion; 1 means no distortion.
    a, b, ap, bp
        Coefficients in the order of `powers`; AP and BP begin with the constant and the two linear terms.
    rms_px, rms_arcsec
        Root mean square distance of the reference stars from the solution, per axis.
    stars
        Number of reference stars that were used.
    method
        Method of the first solution, before it was refined.
    """

    linear: Projection
    order: int
    a: Floats
    b: Floats
    ap: Floats
    bp: Floats
    rms_px: float
    rms_arcsec: float
    stars: int
    method: Literal["hint", "blind"]

    def sky(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return the ICRS positions (degrees) of 0-based pixels."""
        u, v = np.asarray(x - self.linear.x), np.asarray(y - self.linear.y)
        terms = _terms(u, v, powers(self.order))
        return self.linear.sky(x + self.a @ terms, y + self.b @ terms)

    def pixel(self, ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
        """Return the 0-based pixels of ICRS positions in degrees; accurate to 1e-4 pixel inside the field."""
        fx, fy = self.linear.pixel(np.asarray(ra), np.asarray(dec))
        x, y = fx, fy
        if self.order > 1:
            for _ in range(6):
                terms = _terms(x - self.linear.x, y - self.linear.y, powers(self.order))
                x, y = fx - self.a @ terms, fy - self.b @ terms
        return x, y

    @property
    def orientation_deg(self) -> float:
        """Position angle of the +y axis, from north through east, degrees."""
        return float(np.rad2deg(np.arctan2(self.linear.matrix[0, 1], self.linear.matrix[1, 1])))

    def cards(self) -> list[Card]:
        """Return the FITS cards of this WCS (1-based pixels)."""
        kind = "-SIP" if self.order > 1 else ""
        matrix = self.linear.matrix
        cards: list[Card] = [
            ("WCSAXES", 2, ""),
            ("CTYPE1", f"RA---TAN{kind}", "gnomonic projection"),
            ("CTYPE2", f"DEC--TAN{kind}", "gnomonic projection"),
            ("CUNIT1", "deg", ""),
            ("CUNIT2", "deg", ""),
            ("CRVAL1", self.linear.ra, "[deg] reference point"),
            ("CRVAL2", self.linear.dec, "[deg] reference point"),
            ("CRPIX1", self.linear.x + 1, "[pix] reference pixel"),
            ("CRPIX2", self.linear.y + 1, "[pix] reference pixel"),
            ("CD1_1", float(matrix[0, 0]), "[deg/pix]"),
            ("CD1_2", float(matrix[0, 1]), "[deg/pix]"),
            ("CD2_1", float(matrix[1, 0]), "[deg/pix]"),
            ("CD2_2", float(matrix[1, 1]), "[deg/pix]"),
            ("RADESYS", "ICRS", ""),
            ("WCSRMS", round(self.rms_arcsec, 5), "[arcsec] rms of the reference stars, per axis"),
            ("WCSNSTAR", self.stars, "reference stars of the solution"),
            ("WCSMETH", self.method, "how the first solution was found"),
        ]
        return cards + self._sip_cards()

    def _sip_cards(self) -> list[Card]:
        if self.order < 2:
            return []
        cards: list[Card] = []
        for name, values, terms in (
            ("A", self.a, powers(self.order)),
            ("B", self.b, powers(self.order)),
            ("AP", self.ap, [(0, 0), (1, 0), (0, 1), *powers(self.order)]),
            ("BP", self.bp, [(0, 0), (1, 0), (0, 1), *powers(self.order)]),
        ):
            cards.append((f"{name}_ORDER", self.order, "SIP polynomial order"))
            cards += [(f"{name}_{p}_{q}", float(value), "") for (p, q), value in zip(terms, values, strict=True)]
        return cards


def with_inverse(solution: Solution, shape: tuple[int, int]) -> Solution:
    """Return a solution with the inverse polynomials AP and BP, fitted over a field of (rows, columns)."""
    if solution.order < 2:
        return solution
    ap, bp = inverse_terms(solution.linear, solution.order, solution.a, solution.b, shape)
    return replace(solution, ap=ap, bp=bp)


def inverse_terms(
    linear: Projection, order: int, a: Floats, b: Floats, shape: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Fit the polynomials AP and BP, the inverse of A and B, over a field of the given shape (rows, columns)."""
    yy, xx = np.mgrid[0 : shape[0] : 25j, 0 : shape[1] : 25j]
    u, v = (xx - linear.x).ravel(), (yy - linear.y).ravel()
    terms = _terms(u, v, powers(order))
    fu, fv = u + a @ terms, v + b @ terms
    design = np.vstack([np.ones_like(fu), fu, fv, _terms(fu, fv, powers(order))])
    size = np.abs(design).max(axis=1)
    fit, *_ = np.linalg.lstsq((design / size[:, None]).T, np.column_stack([u - fu, v - fv]), rcond=None)
    return fit[:, 0] / size, fit[:, 1] / size


def _terms(u: Floats, v: Floats, exponents: list[tuple[int, int]]) -> Floats:
    if not exponents:
        return np.zeros((0, *np.shape(u)))
    highest = max(max(one) for one in exponents)
    # Repeated products are much faster than powers.
    us, vs = [np.ones_like(u)], [np.ones_like(v)]
    for _ in range(highest):
        us.append(us[-1] * u)
        vs.append(vs[-1] * v)
    return np.stack([us[p] * vs[q] for p, q in exponents])
