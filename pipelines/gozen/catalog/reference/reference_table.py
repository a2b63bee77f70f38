"""Reference catalogue as a HATS collection: written once with a margin of 5 arcsec, read by cone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from gozen.archive.stores.open_store import Store
from gozen.catalog.format import healpix, partition_parquet
from gozen.catalog.format.manifest import Manifest
from gozen.catalog.format.schema import REFERENCE_COLUMNS, schema_of
from gozen.catalog.read.lookup import Catalog
from gozen.catalog.reference.reference_catalog import GAIA_DR3_EPOCH, ReferenceCatalogue
from gozen.catalog.write.table_options import PARTITION_ROWS, TableOptions
from gozen.catalog.write.write_table import write_table

_SCHEMA = schema_of(REFERENCE_COLUMNS)


@dataclass(frozen=True)
class StoredReference:
    """A reference catalogue in the archive; each call reads one cone."""

    store: Store
    name: str

    def cone(self, ra: float, dec: float, radius: float) -> ReferenceCatalogue:
        """Return the stars of a cone; errors are those of `reference_cone`."""
        return reference_cone(self.store, self.name, ra, dec, radius)


def write_reference(
    store: Store, name: str, reference: ReferenceCatalogue, partition_rows: int = PARTITION_ROWS
) -> Manifest:
    """Write a reference catalogue as the collection ``catalogs/{name}``, with a 5-arcsec margin for cross-matches.

    Parameters
    ----------
    store
        The archive.
    name
        Name of the table, e.g. ``gaia``. The table is immutable: to write the same stars again changes nothing.
    reference
        The stars.
    partition_rows
        Largest number of stars in a partition.

    Raises
    ------
    BadRequest
        The catalogue is empty, or the archive has a table of this name with other stars.
    """
    options = TableOptions(partition_rows, night=int(reference.epoch))
    return write_table(store, name, _SCHEMA, [reference_rows(reference)], options)


def reference_cone(store: Store, name: str, ra: float, dec: float, radius: float) -> ReferenceCatalogue:
    """Read the stars of a cone from a reference catalogue in the archive.

    Parameters
    ----------
    store
        The archive.
    name
        The table, e.g. ``gaia``.
    ra, dec, radius
        Centre and radius, degrees. Stars are selected by their catalogue positions.

    Raises
    ------
    MissingObject
        The archive has no such table.
    """
    # The centre of a field is computed, so it may be just outside the circle; the remainder of -1e-20 is 360.
    rows = Catalog.open(store, name).cone(ra % 360 % 360, dec, radius * 3600)
    epochs = partition_parquet.numbers(rows, "ref_epoch")
    columns = {f: rows.column(c).to_numpy().astype(np.float64) for f, c in _COLUMNS.items()}
    epoch = float(epochs[0]) if len(epochs) else GAIA_DR3_EPOCH
    return ReferenceCatalogue(partition_parquet.numbers(rows, "source_id"), **columns, epoch=epoch)


def reference_rows(reference: ReferenceCatalogue) -> pa.Table:
    """Return the stars as rows of the table; NaN becomes null."""
    values = {column: getattr(reference, field) for field, column in _COLUMNS.items()}
    values["_healpix_29"] = healpix.pixels(reference.ra, reference.dec)
    values["source_id"] = reference.source_id
    values["ref_epoch"] = np.full(len(reference), reference.epoch)
    return pa.table([pa.array(values[f.name], from_pandas=True).cast(f.type) for f in _SCHEMA], schema=_SCHEMA)


_COLUMNS = {
    "ra": "ra", "dec": "dec", "pmra": "pmra", "pmdec": "pmdec", "parallax": "parallax", "ruwe": "ruwe",
    "g": "phot_g_mean_mag", "bp_rp": "bp_rp",
}  # fmt: skip
