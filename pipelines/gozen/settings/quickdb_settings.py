"""Settings of QuickDB: engine, isolation, limits."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from gozen.settings.section import SettingsSection


class QuickDBSettings(SettingsSection):
    """Users' Python functions that run next to the data (``gozen.quickdb``)."""

    rerun: str | None = Field(None, description="Release that a job reads where it names none; without it live tables")
    engine: str = Field("local", description="local, dask, or the address of a Dask scheduler, as tcp://host:8786")
    isolate: bool = Field(False, description="Whether functions run apart, without network, files and credentials")
    memory_mb: int = Field(2048, gt=0, description="Memory of a function that runs apart")
    seconds: float = Field(60.0, gt=0, description="Time of a block of patches of a function that runs apart")
    result_mb: int = Field(256, gt=0, description="Size of the result of a block of a function that runs apart")
    sql_seconds: float = Field(60.0, gt=0, description="Time of a query in SQL")
    sql_memory_mb: int = Field(2048, gt=0, description="Memory of a query in SQL, and of its answer")
    sql_rows: int = Field(10_000_000, gt=0, description="Rows of the answer to a query in SQL")
    cache: Path = Field(Path("~/.cache/gozen/quickdb"), description="Folder of results that are kept")
    cache_mb: int = Field(1024, ge=0, description="Size of that folder; 0 keeps nothing")
