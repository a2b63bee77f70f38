"""Settings of QuickDB: engine, isolation, limits."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from gozen.settings.section import SettingsSection


class QuickDBSettings(SettingsSection):
    """Users' Python functions that run next to the data (``gozen.quickdb``)."""

    rerun: str | None = Field(
        None, description="Release that a job reads if the job does not choose one; default: the current tables"
    )
    engine: str | None = Field(
        None,
        description="local, dask, workers (your own workers in the cluster of a hub), or the address of a Dask "
        "scheduler, such as tcp://host:8786; default: workers in a lab that can have them, otherwise local",
    )
    workers_start_s: float = Field(
        300.0, gt=0, description="Longest time to wait for the first of your own workers in the cluster of a hub, s"
    )
    isolate: bool = Field(
        False, description="true: functions run without network, files and credentials; use it on a shared service"
    )
    memory_mb: int = Field(2048, gt=0, description="Memory limit of an isolated function, MB")
    seconds: float = Field(60.0, gt=0, description="Time limit of an isolated function for one block of patches, s")
    result_mb: int = Field(256, gt=0, description="Size limit of an isolated function's result for one block, MB")
    sql_seconds: float = Field(60.0, gt=0, description="Time limit of an SQL query, s")
    sql_memory_mb: int = Field(2048, gt=0, description="Memory limit of an SQL query and its result, MB")
    sql_rows: int = Field(10_000_000, gt=0, description="Largest number of rows in the result of an SQL query")
    cache: Path = Field(Path("~/.cache/gozen/quickdb"), description="Folder of cached results")
    cache_mb: int = Field(1024, ge=0, description="Size limit of the folder of cached results, MB; 0 turns caching off")
