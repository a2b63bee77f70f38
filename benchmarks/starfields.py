"""Light-curve rows of stars in eight fields, made quickly: what benchmarks/lookup.py fills its tables with.

The fields lie at both poles, at corners and edges of HEALPix base pixels, and at two plain places. Each holds 6,000
stars a square degree, as Tomo-e Gozen sees; each star has as many rows as nights, exposures and frames make.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from gozen.catalog.format import healpix
from gozen.catalog.format.schema import lightcurve_table

FIELDS = {
    "north pole": (0.0, 90.0),
    "south pole": (0.0, -90.0),
    "corner of three base pixels": (90.0, 41.8103),
    "corner of four base pixels": (45.0, 0.0),
    "edge of polar base pixels": (180.0, 66.0),
    "edge in the south": (270.0, -55.0),
    "plain": (150.1, 2.2),
    "plain in the south": (83.6, -35.4),
}
PLAIN = ("plain", "plain in the south")
DENSITY = 6_000
FRAMES = 20
EXPOSURES = 10
ROWS_PER_STAR = FRAMES * EXPOSURES
FRAME_D = 0.5 / 86_400
_ZERO_POINT = 22.6


@dataclass(frozen=True)
class Field:
    """The stars of one field, shape (N,) each."""

    name: str
    source_id: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    g: np.ndarray
    colour: np.ndarray
    motion: np.ndarray


def fields(rows: int) -> list[Field]:
    """Make the stars of all fields, so many that they have about this many rows in all."""
    count = max(rows // (ROWS_PER_STAR * len(FIELDS)), 20)
    return [_field(name, count, seed) for seed, name in enumerate(FIELDS)]


def _field(name: str, count: int, seed: int) -> Field:
    rng = np.random.default_rng([1, seed])
    radius = np.sqrt(count / DENSITY / np.pi)
    away = np.radians(radius * np.sqrt(rng.uniform(0, 1, count)))
    angle = rng.uniform(0, 2 * np.pi, count)
    ra, dec = _moved(*FIELDS[name], away, angle)
    number = rng.permutation(count) + 1
    g = np.minimum(19.0, 12 + rng.gamma(7, 0.8, count))
    return Field(
        name, (healpix.pixels(ra, dec, 12) << 35) | (number << 7), ra, dec, g,
        rng.normal(1.1, 0.4, count), rng.normal(0, 5, (4, count)),
    )  # fmt: skip


def _moved(ra: float, dec: float, away: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positions at a distance (radians) and angle from a centre (degrees), exact at the poles."""
    a, d = np.radians(ra), np.radians(dec)
    out = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    north = np.array([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)])
    east = np.array([-np.sin(a), np.cos(a), 0.0])
    side = np.cos(angle)[:, None] * north + np.sin(angle)[:, None] * east
    x, y, z = (np.cos(away)[:, None] * out + np.sin(away)[:, None] * side).T
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arcsin(np.clip(z, -1, 1)))


def exposures(field: Field, night: int, wanted: range) -> Iterator[pa.Table]:
    """Yield the rows of exposures of one field, frame by frame, as a reduction gives them to the table."""
    for exposure in wanted:
        yield _exposure(field, night, exposure)


def _exposure(field: Field, night: int, exposure: int) -> pa.Table:
    count, place = len(field.ra), list(FIELDS).index(field.name)
    rng = np.random.default_rng([night, exposure, place])
    shape = (FRAMES, count)

    def per_star(values: np.ndarray) -> np.ndarray:
        return np.tile(values, FRAMES)

    zero = _ZERO_POINT + rng.normal(0, 0.05)
    signal = 10 ** (0.4 * (zero - 0.02 * field.colour - field.g))
    sky = 20 * rng.normal(1, 0.03, (FRAMES, 1)) * rng.normal(1, 0.02, count)
    flux = np.maximum(signal + np.sqrt(signal + sky**2) * rng.standard_normal(shape, np.float32), 1.0)
    flux_err = np.sqrt(flux + sky**2)
    frame = np.repeat(np.arange(FRAMES), count)
    y = rng.uniform(0, 1128, count)
    start = 60_000 + night % 10_000 + exposure * 0.01 + place * 0.001
    measured = rng.normal(0, 0.1 / 3600, (2, count))
    columns = {
        "source_id": per_star(field.source_id),
        "ra": per_star(field.ra),
        "dec": per_star(field.dec),
        "ra_meas": per_star(field.ra + measured[0]),
        "dec_meas": per_star(field.dec + measured[1]),
        "mjd": start + frame * FRAME_D + per_star(y) * 1e-10,
        "flux": flux.ravel(),
        "flux_err": flux_err.ravel(),
        "flux_auto": (flux * rng.normal(1.02, 0.02, shape)).ravel(),
        "mag": (zero - 2.5 * np.log10(flux)).ravel(),
        "mag_err": (1.0857 * flux_err / flux).ravel(),
        "limit": (zero - 2.5 * np.log10(5 * sky)).ravel(),
        "x": per_star(rng.uniform(0, 2000, count)),
        "y": per_star(y),
        "flags": per_star((rng.uniform(size=count) < 0.1).astype(np.uint16) * 4),
        "frame": frame,
        "phot_g_mean_mag": per_star(field.g),
        "bp_rp": per_star(field.colour),
        "ruwe": per_star(1 + 0.02 * np.abs(field.motion[0])),
    }
    columns |= {name: per_star(field.motion[i]) for i, name in enumerate(("parallax", "pmra", "pmdec"), start=1)}
    constant: dict[str, object] = {
        "zp": np.float32(zero),
        "zp_err": np.float32(0.01),
        "colour_term": np.float32(0.02),
        "origin": "stack",
        "night": night,
        "exposure": f"{place:02d}{exposure:06d}",
        "run": "20260115a",
        "sensor": 111 + place,
        "filter": "clear",
        "aperture_diameter": 21,
    }
    columns |= {name: pa.repeat(value, FRAMES * count) for name, value in constant.items()}
    return lightcurve_table(columns)
