"""The reference catalogue in memory: arrays, cone search, positions at another epoch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gozen.catalog.format import healpix
from gozen.catalog.reference.reference_file import read_columns
from gozen.settings import ReferenceFileSettings

GAIA_DR3_EPOCH = 2016.0
_MAS = np.pi / 180 / 3_600_000

FloatArray = NDArray[np.float64]


class StarSource(Protocol):
    """A source of the reference stars of a cone: a catalogue in memory, or one in the archive."""

    def cone(self, ra: float, dec: float, radius: float) -> ReferenceCatalogue:
        """Return the stars within ``radius`` degrees of a position in degrees."""


@dataclass(frozen=True)
class ReferenceCatalogue:
    """Stars with positions, proper motions and magnitudes; arrays of shape (N,), NaN for unknown values.

    Parameters
    ----------
    source_id
        Gaia DR3 id, or an id that Gozen made from the position, int64.
    ra, dec
        ICRS degrees at `epoch`.
    pmra, pmdec
        Proper motion, mas/yr; `pmra` includes cos(dec).
    parallax
        Milliarcseconds.
    ruwe
        Renormalised unit weight error.
    g, bp_rp
        Gaia G and BP - RP, mag.
    epoch
        Julian year of the positions.
    """

    source_id: NDArray[np.int64]
    ra: FloatArray
    dec: FloatArray
    pmra: FloatArray
    pmdec: FloatArray
    parallax: FloatArray
    ruwe: FloatArray
    g: FloatArray
    bp_rp: FloatArray
    epoch: float = GAIA_DR3_EPOCH

    def __len__(self) -> int:
        return len(self.source_id)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice) -> ReferenceCatalogue:
        """Return the stars that a mask, an index array or a slice picks."""
        picked = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "epoch"}
        return ReferenceCatalogue(**picked, epoch=self.epoch)

    def cone(self, ra: float, dec: float, radius: float) -> ReferenceCatalogue:
        """Return the stars whose catalogue positions are within a cone, in the catalogue's order.

        Parameters
        ----------
        ra, dec
            The centre, ICRS degrees.
        radius
            Radius of the circle, degrees.
        """
        band = np.flatnonzero(np.abs(self.dec - dec) <= radius * (1 + 1e-9) + 1e-12)
        return self[band[healpix.separation(ra, dec, self.ra[band], self.dec[band]) <= radius]]

    def at_epoch(self, year: float) -> tuple[FloatArray, FloatArray]:
        """Return the positions with proper motion applied.

        Parameters
        ----------
        year
            Julian year.

        Returns
        -------
        ra, dec
            ICRS degrees, shape (N,). A star of unknown motion keeps its position.
        """
        return propagated(self.ra, self.dec, self.pmra, self.pmdec, year - self.epoch)


def propagated(
    ra: FloatArray, dec: FloatArray, pmra: FloatArray, pmdec: FloatArray, years: FloatArray | float
) -> tuple[FloatArray, FloatArray]:
    """Apply proper motion to positions, as uniform straight motion on the tangent plane.

    Method: The Hipparcos and Tycho Catalogues vol. 1 (ESA SP-1200, 1997) §1.5.5, without radial velocity and parallax.
    It is valid at the poles, and accurate to 1 mas over 50 years, except for a few dozen of the nearest stars.

    Parameters
    ----------
    ra, dec
        ICRS degrees, shape (N,).
    pmra, pmdec
        mas/yr, `pmra` with cos(dec); NaN counts as no motion.
    years
        Julian years from the positions' epoch to the wanted one, scalar or shape (N,).

    Returns
    -------
    ra, dec
        Degrees; `ra` in [0, 360), but unchanged for a star without motion.
    """
    alpha, delta = np.radians(ra), np.radians(dec)
    east = np.nan_to_num(pmra) * years * _MAS
    north = np.nan_to_num(pmdec) * years * _MAS
    sin_a, cos_a, sin_d, cos_d = np.sin(alpha), np.cos(alpha), np.sin(delta), np.cos(delta)
    x = cos_d * cos_a - east * sin_a - north * sin_d * cos_a
    y = cos_d * sin_a + east * cos_a - north * sin_d * sin_a
    z = sin_d + north * cos_d
    moved_ra = np.degrees(np.arctan2(y, x)) % 360.0
    moved_dec = np.degrees(np.arctan2(z, np.hypot(x, y)))
    still = (east == 0) & (north == 0)
    return np.where(still, ra, moved_ra), np.where(still, dec, moved_dec)


def read_reference(
    url: object,
    columns: dict[str, str] | None = None,
    epoch: float | None = None,
    *,
    data: bytes | None = None,
    hdu: str | None = None,
    unit: str | None = None,
    encoding: str | None = None,
) -> ReferenceCatalogue:
    """Read a reference catalogue from a table in any format that ``gozen catalog import`` reads.

    Parameters
    ----------
    url
        A path or any fsspec URL; the file may be compressed.
    columns
        The file's column for each quantity, if it is not one of the usual names (Gaia archive, VizieR, plain RA and
        DEC): keys ``source_id, ra, dec, pmra, pmdec, parallax, ruwe, g, bp_rp, bp, rp, ref_epoch``.
    epoch
        Julian year of all positions; it overrides the file. By default the file's ``ref_epoch``, else the epoch that
        the description of the RA column states, else 2000.0 for ``RAJ2000`` and for positions in several columns,
        else 2016.0 as in Gaia DR3.
    data
        The file's bytes, if they have been read already.
    hdu, unit, encoding
        As in `gozen.catalog.imports.import_table.ImportRequest`.

    Returns
    -------
    ReferenceCatalogue
        In the file's order, without the rows that have no position. If the file has no Gaia ids, Gozen makes ids from
        the positions. Positions of several epochs are brought to their median epoch.

    Raises
    ------
    BadRequest
        A key of `columns` or the unit is not known.
    UnreadableInput
        The file is missing, has none of these formats, or has no positions; the message lists the columns found.
    """
    said = ReferenceFileSettings(hdu=hdu, unit=unit, encoding=encoding)
    found = read_columns(str(url), columns or {}, data, said)
    years = found.epochs if epoch is None else np.full(len(found.ra), epoch)
    common = float(np.median(years)) if len(years) else (epoch or GAIA_DR3_EPOCH)
    values = found.values
    ra, dec = propagated(found.ra, found.dec, values["pmra"], values["pmdec"], common - years)
    return ReferenceCatalogue(found.source_id, ra, dec, **values, epoch=common)
