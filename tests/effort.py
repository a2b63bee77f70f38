"""Numbers of repetitions of random tests, for each tier.

``make test`` uses the small numbers, ``make test-all`` (``GOZEN_TIER=all``) the large ones. A small number is at least
three times the smallest one at which every seeded bug is found, for each of five seeds; ``make mutants`` checks this.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

EVERYTHING = os.environ.get("GOZEN_TIER") == "all"
SEED = int(os.environ.get("GOZEN_SEED", "1"))
"""Replays what a failed test names."""
MARGIN = 3
SEEDS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Repeats:
    """How often something is done.

    Parameters
    ----------
    small, large
        In ``make test`` and in ``make test-all``.
    finds
        What it must find, and at which number it did for the worst of five seeds.
    """

    small: int
    large: int
    finds: str

    @property
    def now(self) -> int:
        """The number of this run."""
        return self.large if EVERYTHING else self.small


REPEATS = {
    "operator histories": Repeats(400, 25_000, "the ten seeded bugs of the operator; 116 for the worst seed"),
    "fuzzed resources": Repeats(1000, 50_000, "five seeded bugs; 122 for the worst seed"),
    "fuzzed admissions": Repeats(
        270, 2000, "the operator's Jobs have a label that the API server rejects; 87 for the worst seed"
    ),
    "messages of a hostile function": Repeats(80, 2000, "a forbidden dict key is accepted; 21 for the worst seed"),
    "messages behind a fence": Repeats(5000, 200_000, "a dtype or Arrow data are not checked; 914 for the worst seed"),
    "histories of a failing S3": Repeats(
        40, 1000, "a product is truncated, a row is lost or duplicated; 13 for the worst seed"
    ),
    "histories of sharing": Repeats(
        60,
        300,
        "a file contains parts of two versions, a change of another client is overwritten; 11 for the worst seed",
    ),
    "histories of a table": Repeats(36, 300, "a row is lost or duplicated; 7 for the worst seed"),
    "texts of SQL": Repeats(620, 10_000, "functions that read files are on the allow-list; 205 for the worst seed"),
    "changes under a reduction": Repeats(2, 20, "no seeded bug yet; the number is an estimate"),
    "kills at random moments": Repeats(9, 150, "a commit is written before its products; 3 for the worst seed"),
}

_reached: dict[str, int] = {}
_examples: Counter[str] = Counter()


def rounds(kind: str, part: int = 0, parts: int = 1) -> Iterator[int]:
    """Yield the numbers of the repetitions of a kind, or of one of several parts of them.

    A test that fails among them says at which it did.
    """
    for number in range(part, REPEATS[kind].now, parts):
        _reached[kind] = number + 1
        yield number
    _reached.pop(kind, None)


@contextmanager
def example(kind: str) -> Iterator[None]:
    """Count an example that Hypothesis draws; a test that fails says at which it failed first."""
    _examples[kind] += 1
    try:
        yield
    except BaseException:
        _reached.setdefault(kind, _examples[kind])
        raise


def reached() -> str:
    """Return where the test that runs is among its repetitions, and forget it."""
    said = ", ".join(
        f"round {number} of {REPEATS[kind].now} {kind}, GOZEN_SEED={SEED}" for kind, number in _reached.items()
    )
    _reached.clear()
    _examples.clear()
    return said


BUDGET_S: dict[str, float] = {
    "cluster/test_archive_on_a_node": 100,
    "cluster/test_chart": 25,  # the API server is asked some 90 questions about rights
    "cluster/test_commands": 40,
    "cluster/test_crds": 30,
    "cluster/test_faults": 400,
    "cluster/test_fuzz_admission": 45,
    "cluster/test_images": 230,
    "cluster/test_lab_starts": 25,  # a hub, a scheduler, and starts that must be given up
    "cluster/test_make_cluster": 20,
    "cluster/test_node": 20,
    "cluster/test_observer": 130,
    "cluster/test_operator": 25,
    "cluster/test_platform": 350,  # images, chart, a browser, labs, workers
    "cluster/test_platform_faults": 120,  # labs and workers, a browser; what is used up is used up for real
    "cluster/test_policies": 10,
    "cluster/test_publish": 25,
    "cluster/test_secrets": 20,
    "cluster/test_story": 130,
    "cluster/test_user_credentials": 10,
    "cluster/test_user_namespaces": 20,
    "cluster/test_user_volumes": 25,
    "cluster/test_user_workers": 20,
    "property/test_arrivals_in_portions": 20,
    "property/test_catalog_append": 15,
    "property/test_catalog_histories": 30,
    "property/test_catalog_crossmatch": 10,
    "property/test_fuzz_resources": 10,
    "property/test_mover_errors": 20,
    "property/test_observer": 20,
    "property/test_observer_answers": 15,
    "property/test_recipe_roundtrip": 10,
    "property/test_raw_record": 10,
    "property/test_reconcile": 35,
    "property/test_retention": 10,
    "property/test_text_tables": 15,
    "property/test_sharing_histories": 25,
    "property/test_watch_storage_failures": 25,
    "real/test_catalog_lsdb": 50,
    "real/test_lowell5945_movers": 25,
    "real/test_talk": 15,
    "services/test_catalog_append": 60,
    "services/test_catalog_compact": 60,
    "services/test_catalog_import": 110,
    "services/test_ceph_bucket": 25,
    "services/test_clock_ahead": 20,
    "services/test_demo": 55,
    "services/test_disturbed": 90,
    "services/test_docs": 260,
    "services/test_full_home": 25,
    "services/test_hub": 65,
    "services/test_isolated_jobs": 45,
    "services/test_isolation_answers": 10,
    "services/test_isolation_fenced": 30,
    "services/test_isolation_limits": 30,
    "services/test_isolation_process": 10,
    "services/test_killed": 110,
    "services/test_lab_workers": 45,  # three clusters are started: two for functions that use up the memory
    "services/test_lab_credentials": 30,
    "services/test_movers": 10,
    "services/test_night_by_command": 60,
    "services/test_notebooks": 70,
    "services/test_observer": 20,
    "services/test_openid_login": 15,
    "services/test_pool": 25,
    "services/test_portal_pages": 35,
    "services/test_quickdb": 60,
    "services/test_quickdb_bad_input": 150,
    "services/test_quickdb_kept": 30,
    "services/test_quickdb_s3": 50,
    "services/test_report_in_a_browser": 20,
    "services/test_rotated_keys": 80,
    "services/test_s3": 90,
    "services/test_s3_faults": 60,
    "services/test_s3_night": 55,
    "services/test_s3_rotation": 60,
    "services/test_simulate_objects": 15,
    "services/test_share_dialog": 25,  # a JupyterLab and a browser
    "services/test_publish_folder": 15,
    "services/test_share_publish": 30,
    "services/test_sharing_broken_requests": 10,
    "services/test_spark": 35,
    "services/test_sql": 25,
    "services/test_sql_locked": 30,
    "services/test_start": 90,
    "services/test_suite_selection": 20,
    "services/test_version": 20,
    "services/test_watch": 110,
    "services/test_watch_pool": 15,
    "unit/test_cli_wrong_input": 15,
    "unit/test_movers_at_borders": 20,
    "unit/test_architecture_page": 10,
    "unit/test_chart": 10,
    "unit/test_cli": 15,
    "unit/test_portal_data_page": 15,
    "unit/test_portal_forms": 15,
    "unit/test_quickdb_region": 10,
    "unit/test_reduce_sensor": 15,
}
"""Processor seconds that a module of tests may cost in ``make test``, with all that it starts."""

BUDGET_ALL_S = {
    "cluster/test_benchmark_platform": 400.0,
    "cluster/test_control_plane": 60.0,
    "cluster/test_fuzz_admission": 400.0,
    "cluster/test_images": 300.0,
    "cluster/test_platform_outages": 90.0,
    "property/test_catalog_histories": 250.0,
    "property/test_fuzz_resources": 400.0,
    "property/test_quickdb_wire": 100.0,
    "property/test_reconcile": 600.0,
    "services/test_benchmark_lookup": 50.0,
    "services/test_benchmark_night": 100.0,
    "services/test_benchmark_quickdb": 40.0,
    "services/test_benchmark_reduce": 50.0,
    "services/test_disturbed": 300.0,
    "services/test_isolation_fenced": 900.0,
    "services/test_killed": 1500.0,
    "services/test_notebooks": 200.0,
    "services/test_s3_faults": 1500.0,
    "services/test_sql_locked": 200.0,
    "unit/test_watch_storage_failures": 60.0,
}
"""The same in ``make test-all``, for modules that repeat more there or run there alone."""
