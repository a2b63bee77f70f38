"""Columns and rows of the survey tables `forced` and `meas`, and the table of true pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from gozen.catalog.format import healpix
from gozen.catalog.format.schema import Column, schema_of
from gozen.simulator.objects import survey_photometry as photometry
from gozen.simulator.objects.colours import BANDS
from gozen.simulator.objects.survey_objects import SurveyObjects, missing_bands, tile, tiles
from gozen.simulator.sky.star_arrays import Integers

_KEY = (
    Column("_healpix_29", pa.int64(), "", "nested HEALPix pixel of (`ra`, `dec`), order 29", "delta", True),
    Column("source_id", pa.int64(), "", "an id that Gozen made (bit 34 set)", "delta", True),
    Column("ra", pa.float64(), "deg", "position", "split", True),
    Column("dec", pa.float64(), "deg", "position", "split", True),
)
_OBJECT = (
    Column("isprimary", pa.bool_(), "", "not the parent of a blend, and not a duplicate in an overlap", "plain", True),
    Column("parent_id", pa.int64(), "", "the blend to which it belonged; 0 if isolated", "dictionary", True),
    Column("deblend_nchild", pa.int16(), "", "number of parts into which a blend was separated", "dictionary", True),
)
_FORCED = (
    Column("cmodel_flag", pa.bool_(), "", "the fit of the model failed", "plain"),
    Column("sdsscentroid_flag", pa.bool_(), "", "the position is unreliable", "plain"),
    Column("pixelflags_edge", pa.bool_(), "", "at the edge of the image", "plain"),
    Column("pixelflags_interpolatedcenter", pa.bool_(), "", "a pixel at the centre was interpolated", "plain"),
    Column("pixelflags_saturatedcenter", pa.bool_(), "", "a pixel at the centre is saturated", "plain"),
    Column("pixelflags_crcenter", pa.bool_(), "", "a cosmic ray at the centre", "plain"),
    Column("pixelflags_bad", pa.bool_(), "", "a bad pixel in the footprint", "plain"),
    Column("extendedness_value", pa.float32(), "", "1 for what is wider than the PSF, 0 for points", "dictionary"),
    Column("psfflux_instflux", pa.float32(), "count", "flux in the PSF; magnitude 27 - 2.5 log10"),
    Column("psfflux_instfluxerr", pa.float32(), "count", "its standard error"),
    Column("psfflux_flux", pa.float32(), "nJy", "flux in the PSF; magnitude 31.4 - 2.5 log10"),
    Column("psfflux_fluxerr", pa.float32(), "nJy", "its standard error"),
    Column("cmodel_instflux", pa.float32(), "count", "flux of the fitted galaxy model; magnitude 27 - 2.5 log10"),
)
_MEAS = (
    Column("sdssshape_shape11", pa.float32(), "arcsec2", "second moment along x"),
    Column("sdssshape_shape22", pa.float32(), "arcsec2", "second moment along y"),
    Column("sdssshape_shape12", pa.float32(), "arcsec2", "mixed second moment"),
    Column("base_blendedness_abs", pa.float32(), "", "share of the flux that belongs to neighbours"),
)
_PAIRS = pa.schema(
    [("source_id_a", pa.int64()), ("source_id_b", pa.int64())]
    + [(name, pa.float64()) for name in ("ra_a", "dec_a", "ra_b", "dec_b", "separation_arcsec", "i_a", "i_b")]
)
WORDS = ("forced", "meas")
Columns = Mapping[str, Any]


def object_schema(word: str) -> pa.Schema:
    """Return the schema of the table ``forced`` or ``meas``; its metadata ``gozen_bands`` lists the bands."""
    whole, of_band = (_OBJECT, _FORCED) if word == "forced" else ((), _MEAS)
    # Columns that are read together are stored next to each other: the bands of a quantity, and the narrow columns
    # before the first flux.
    banded = tuple(_of_band(column, band) for column in of_band for band in BANDS)
    return schema_of((*_KEY, *whole, *banded)).with_metadata({"gozen_bands": " ".join(BANDS)})


def rows_of(seed: int, pixel: int, seen: SurveyObjects, word: str) -> pa.Table:
    """Return the rows of a tile's objects in one of the tables; columns of missing bands are null.

    Parameters
    ----------
    seed, pixel
        Seed of the sky, and nested HEALPix pixel of the tile, order 9.
    seen
        Objects of the tile.
    word
        ``forced`` or ``meas``.
    """
    columns: dict[str, Any] = {
        "_healpix_29": healpix.pixels(seen.ra, seen.dec),
        "source_id": seen.source_id,
        "ra": seen.ra,
        "dec": seen.dec,
    }
    banded: Mapping[str, Columns]
    if word == "forced":
        columns |= photometry.object_columns(seed, pixel, seen)
        banded = photometry.forced(seed, pixel, seen)
    else:
        banded = photometry.measured(seed, pixel, seen)
    for band in set(BANDS) - set(missing_bands(seed, pixel)):
        columns |= {f"{band}_{name}": values for name, values in banded[band].items()}
    return pa.table([_arrow(columns, field, len(seen)) for field in object_schema(word)], schema=object_schema(word))


def chunks(seed: int, objects: int, word: str, step: Callable[[], None] | None = None) -> Iterator[pa.Table]:
    """Yield the rows of ``objects`` objects, one tile at a time; call ``step`` after each."""
    for pixel, count in tiles(seed, objects):
        yield rows_of(seed, pixel, tile(seed, pixel).first(count), word)
        if step is not None:
            step()


def pairs_of(seed: int, objects: int, step: Callable[[], None] | None = None) -> pa.Table:
    """Return the true pairs: two objects within 2 arcsec of each other with nearly the same colours.

    Returns
    -------
    pa.Table
        ``source_id_a`` and ``_b``, ``ra_a``, ``dec_a``, ``ra_b``, ``dec_b`` (degrees), ``separation_arcsec``, and the
        true i magnitudes ``i_a`` and ``i_b``.
    """
    parts = [_PAIRS.empty_table()]
    for pixel, count in tiles(seed, objects):
        seen = tile(seed, pixel).first(count)
        a = np.flatnonzero(seen.twin > np.arange(len(seen)))
        parts.append(_pairs(seen, a, seen.twin[a]))
        if step is not None:
            step()
    return pa.concat_tables(parts).sort_by("source_id_a").combine_chunks()


def _pairs(seen: SurveyObjects, a: Integers, b: Integers) -> pa.Table:
    i = seen.magnitudes[BANDS.index("i")]
    east = (seen.ra[b] - seen.ra[a] + 180) % 360 - 180
    apart = np.hypot(east * np.cos(np.radians(seen.dec[a])), seen.dec[b] - seen.dec[a]) * 3600
    places = (seen.ra[a], seen.dec[a], seen.ra[b], seen.dec[b])
    return pa.table([seen.source_id[a], seen.source_id[b], *places, apart, i[a], i[b]], schema=_PAIRS)


def _of_band(column: Column, band: str) -> Column:
    return Column(f"{band}_{column.name}", column.type, column.unit, f"{band}: {column.meaning}", column.encoding)


def _arrow(columns: Columns, field: pa.Field, count: int) -> pa.Array:
    if field.name not in columns:
        return pa.nulls(count, field.type)
    return pa.array(columns[field.name], field.type, from_pandas=pa.types.is_floating(field.type))
