"""Run all checks in the order in which ``gozen doctor`` prints them."""

from __future__ import annotations

from datetime import UTC, datetime

from gozen.preflight import archive_check, data_checks, machine_checks, package_checks
from gozen.preflight.finding import Finding
from gozen.settings import Settings


def examine(settings: Settings) -> list[Finding]:
    """Check everything that Gozen needs on this machine."""
    return [
        package_checks.python(),
        *package_checks.packages(),
        *package_checks.extras(),
        data_checks.time_zones(),
        data_checks.time_tables(datetime.now(UTC)),
        data_checks.instrument(settings),
        data_checks.reference(settings),
        *data_checks.index_files(settings),
        archive_check.archive(settings),
        machine_checks.cores(),
        machine_checks.memory(),
        machine_checks.isolation(),
        machine_checks.chromium(),
    ]
