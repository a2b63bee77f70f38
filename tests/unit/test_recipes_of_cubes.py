"""Test how a watch treats an exposure whose target is in several recipes, or several times in one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.reductions import SMALL

from gozen.archive.raw.exposure_record import RawExposure, Setup, Taken, record_exposure
from gozen.archive.stores.open_store import open_store
from gozen.errors import UnreadableInput
from gozen.instrument.profile import parse_profile
from gozen.settings import Settings, WatchSettings
from gozen.watch.recipes_of_cubes import Orders
from gozen.watch.waiting_cubes import QueuedCube

STEP = "- Pointing: {{ ra: {ra}, dec: 20 }}\n- SetPipeline: [{pipelines}]\n- Exposure: field\n"
HEAD = "Observer: o\nProject: p\nOperations:\n- SetParameter: { tinteg_sec: 1, nframe: 2 }\n"


def cube(number: int, ra: float | None) -> QueuedCube:
    name, key = f"{number:08d}", f"raw/20260115/{number:08d}/a.fits"
    taken = {key: Taken(61055.0 + number / 100, ra, None if ra is None else 20.0)}
    setup = Setup("small", "", 1.0, "high", exposure_id=str(number))
    raw = RawExposure("20260115", name, "field", "OBJECT", 61055.0 + number / 100, {"111": (key,)}, setup, taken)
    return QueuedCube(raw, "111", express=False, seen=0.0, last=0.0, keys=(key,))


def orders(tmp_path: Path, *files: str) -> Orders:
    recipes = [tmp_path / f"{number}.yaml" for number in range(len(files))]
    for path, text in zip(recipes, files, strict=True):
        path.write_text(HEAD + text)
    return Orders(parse_profile(SMALL, "small"), Settings(archive=str(tmp_path / "archive")), recipes)


@pytest.mark.parametrize("one_file", [True, False])
def test_two_steps_of_one_target_are_answered_by_an_exposure_each(tmp_path: Path, one_file: bool) -> None:
    steps = [STEP.format(ra=10, pipelines="wcs"), STEP.format(ra=10, pipelines="wcs, stack")]
    asked = orders(tmp_path, *(["".join(steps)] if one_file else steps))
    works = [asked.work(cube(number, 10.0)) for number in (1, 2, 1)]
    assert [work.pipelines for work in works if work] == [("wcs",), ("wcs", "stack"), ("wcs",)]
    # Started again, the watch finds in the archive what came before.
    record_exposure(open_store(tmp_path / "archive"), cube(1, 10.0).raw)
    work = orders(tmp_path, "".join(steps)).work(cube(2, 10.0))
    assert work is not None
    assert work.pipelines == ("wcs", "stack")


def test_a_damaged_record_of_another_exposure_hides_the_step_and_makes_nothing_express(tmp_path: Path) -> None:
    steps = STEP.format(ra=10, pipelines="wcs") * 2
    asked = orders(tmp_path, steps)
    open_store(tmp_path / "archive").write("raw/20260115/00000009/exposure.json", b"damaged")
    assert not asked.is_express(cube(1, 10.0).raw)
    with pytest.raises(UnreadableInput, match="00000009"):
        asked.work(cube(1, 10.0))
    express = Settings(archive=str(tmp_path / "archive"), watch=WatchSettings(express=["fie*"]))
    asked = Orders(parse_profile(SMALL, "small"), express, [tmp_path / "0.yaml"])
    assert asked.is_express(cube(1, 10.0).raw)


def test_a_step_is_answered_where_it_points(tmp_path: Path) -> None:
    asked = orders(tmp_path, STEP.format(ra=50, pipelines="wcs") + STEP.format(ra=10, pipelines="wcs, stack"))
    found = [asked.work(cube(number, ra)) for number, ra in ((1, 10.0), (2, 50.0), (3, 90.0))]
    assert [work.pipelines for work in found if work] == [("wcs", "stack"), ("wcs",), ()]
