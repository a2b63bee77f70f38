"""Test which users are members, and which keys of an archive each level may read.

Covered: users, groups, everyone; every key of a real archive with a table and a release; the size of a policy; the same
patterns in the bucket policy. How a real gateway applies the policies: services/test_lab_credentials.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from tests.catalog_samples import object_schema, objects_of

from gozen.archive import keys
from gozen.archive.access_levels import LEVELS, LISTS, READS, Level, Members, level_of, session_policy
from gozen.archive.bucket_policy import statements
from gozen.archive.keys import Processing
from gozen.archive.stores.open_store import open_store
from gozen.catalog.format import layout
from gozen.catalog.maintain.release import release
from gozen.catalog.write.table_options import TableOptions
from gozen.catalog.write.write_table import write_table

ONE = Processing("20260115", "00000003")
MOST_CHARACTERS = 2048  # of a session policy, at Amazon


def may(level: Level, key: str, patterns: Sequence[str] | None = None) -> bool:
    return any(fnmatchcase(key, one) for one in patterns or READS[level])


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (Members(), "others"),
        (Members(users=frozenset({"ada"})), "members"),
        (Members(users=frozenset({"survey"})), "others"),
        (Members(groups=frozenset({"survey", "staff"})), "members"),
        (Members(groups=frozenset({"ada"})), "others"),
        (Members(everyone=True), "members"),
    ],
)
def test_a_member_is_named_or_belongs_to_a_group_that_is(members: Members, expected: Level) -> None:
    assert level_of("ada", frozenset({"survey", "guests"}), members) == expected


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "key",
    [
        keys.raw("20260115", "00000003", "TMQ1"),
        "raw/20260115/00000003/exposure.json",
        "raw/20260115/releases/x.fits",
        keys.cube(ONE, "TMQ1"),
        keys.master("dark", "20260115", "00000001", "111"),
        keys.staging(ONE, "111"),
        "expid/00000003",
        "truth/stars.parquet",
        "of-somebody-else/catalogs/x/index/y",
    ],
)
def test_raw_data_and_what_is_close_to_them_are_the_observatorys(level: Level, key: str) -> None:
    assert not may(level, key)


@pytest.mark.parametrize(
    "key",
    [
        keys.log_table("exposures", "20260115"),
        keys.commit(ONE, "111"),
        keys.stack(ONE, "TMQ1"),
        keys.neo(ONE, "TMQ1"),
        layout.manifest("lightcurves", 7),
        layout.data_key("lightcurves", 1, "Norder=1/Dir=0/Npix=4/20260115-abc.parquet"),
        f"{keys.catalog('lightcurves')}/collection.properties",
        layout.journal("lightcurves", 2),
    ],
)
def test_members_read_tables_and_products_and_others_do_not(key: str) -> None:
    assert may("members", key)
    assert not may("others", key)


def test_others_read_and_list_all_of_a_release_and_no_rows_beside_it(tmp_path: Path) -> None:
    """The keys are those of a table with a margin that was released, as the code writes them."""
    store = open_store(tmp_path)
    write_table(store, "stars", object_schema(), [objects_of(300, size=0.3)], TableOptions(60, 30.0))
    before = set(store.list("catalogs/stars"))
    version = release(store, "dr1", {"objects": "stars"}).tables["objects"]
    made = set(store.list("")) - before
    folders = (layout.generation("stars", version.generation), f"{keys.catalog('stars')}/{version.margin}")
    rows = {key for key in made if key.startswith(tuple(f"{one}/" for one in folders))}
    assert {Path(key).suffix for key in rows} >= {".parquet", ".properties", ".csv", ".fits"}
    assert all(any(key.startswith(f"{one}/") for key in rows) for one in folders)
    needed = rows | {keys.release("dr1"), f"{keys.catalog('stars')}/{layout.release('dr1')}"}
    needed |= {version.key_of(part) for part in (version.schema, version.index, version.coverage)}
    assert [key for key in needed if not may("others", key)] == []
    assert [one for one in folders if not may("others", f"{one}/", LISTS["others"])] == []
    assert may("others", "releases/", LISTS["others"])
    live = {key for key in before if not may("others", key)}
    assert {key for key in before if "/dataset/" in key or "/manifest/" in key} <= live
    assert {key.split("/")[2] for key in before - live} <= {"index", "schema", "contents"}


def test_a_generation_of_the_table_itself_is_never_taken_for_a_release() -> None:
    for number in (1, 9, 90, 900, 9000, 90_000, 90_001, 900_000, 99_999_999):
        assert not may("others", layout.data_key("stars", number, "Norder=1/Dir=0/Npix=4/0-a.parquet"))
    assert may("others", layout.data_key("stars", layout.FIRST_RELEASED, "Norder=1/Dir=0/Npix=4/0-a.parquet"))
    assert may("others", layout.data_key("stars", 900_009_999, "Norder=1/Dir=0/Npix=4/0-a.parquet"))


@pytest.mark.parametrize("level", LEVELS)
def test_a_session_may_only_list_and_read_below_the_archive(level: Level) -> None:
    text = session_policy(level, "sky", "deep/archive/")
    assert len(text) < MOST_CHARACTERS
    listed, read = json.loads(text)["Statement"]
    assert (listed["Effect"], listed["Action"], listed["Resource"]) == (
        "Allow",
        ["s3:ListBucket"],
        ["arn:aws:s3:::sky"],
    )
    assert (read["Effect"], read["Action"]) == ("Allow", ["s3:GetObject"])
    assert all(one.startswith("arn:aws:s3:::sky/deep/archive/") for one in read["Resource"])
    assert all(
        one.startswith("deep/archive/")
        for one in listed.get("Condition", {}).get("StringLike", {}).get("s3:prefix", [])
    )
    assert ("Condition" in listed) == (level == "others")


def test_the_bucket_policy_gives_static_keys_the_same_and_denies_the_rest() -> None:
    found = statements("sky", "deep/", {"member": ["m1", "m0"], "other": ["o"]})
    assert len({one["Sid"] for one in found}) == len(found) == 6
    for level, users in (("members", ["m0", "m1"]), ("others", ["o"])):
        of = [one for one in found if one["Principal"]["AWS"] == users]
        (denied,) = (one for one in of if one["Effect"] == "Deny")
        assert "s3:DeleteObject" in denied["Action"]
        assert "s3:PutObjectTagging" in denied["Action"]
        assert [{key: one[key] for key in one.keys() - {"Sid", "Principal"}} for one in of if one is not denied] == (
            json.loads(session_policy(level, "sky", "deep/"))["Statement"]  # type: ignore[arg-type]
        )
