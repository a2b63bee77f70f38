"""Read small Parquet files completely, in the calling thread.

With Arrow's thread pool a short command may end while the threads are still starting; the process then aborts after it
has printed its answer.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq


def read_parquet(data: bytes) -> pa.Table:
    """Return the table of a Parquet file's bytes.

    Raises
    ------
    pyarrow.ArrowInvalid
        The bytes are not a Parquet file.
    """
    return pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(use_threads=False)
