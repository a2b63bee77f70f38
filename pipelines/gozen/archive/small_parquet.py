"""Read and write small Parquet files whole, in the calling thread.

Arrow's threads may still be starting when a short command ends, which then aborts after it has printed its answer.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq


def read_parquet(data: bytes) -> pa.Table:
    """Return the table of a Parquet file's bytes.

    Raises
    ------
    pyarrow.ArrowInvalid
        They are no Parquet file.
    """
    return pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(use_threads=False)
