"""Test the grouping of raw files into exposures, with small files, as `gozen masters` and `gozen run --raw` do it.

Covered: keywords, pointings, numbers, names, duplicates, late files. Not covered: any order and portions
(property/test_arrivals_in_portions), the watched folder (test_scan_folder), the reduction.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gozen.archive.raw.exposure_record import RawExposure, raw_exposures
from gozen.archive.stores.open_store import Store, open_store
from gozen.errors import CorruptFile
from gozen.frames.archived_files import ArchivedExposures, frame_of
from gozen.frames.assign_exposures import sort_arrivals
from gozen.frames.exposure_grouping import Exposures
from gozen.frames.incoming_files import Arrival, read_arrivals
from gozen.frames.raw import assemble, parse_file
from gozen.frames.take_in import take_in
from gozen.instrument.profile import Profile, parse_profile
from gozen.instrument.read_header import read_header
from gozen.watch.completeness import Arriving

PROFILE = """
name: tiny
site: { name: Hill, longitude_deg: 0, latitude_deg: 40, height_m: 100, time_zone: UTC }
raw: frames
shape: [400, 400]
active: "[1:400,1:400]"
pixel_scale_arcsec: 1.0
pointing_uncertainty_arcsec: 10
gains:
  low: { e_per_adu: 1, read_noise_e: 5, saturation_adu: 60000 }
  high: { e_per_adu: 1, read_noise_e: 5, saturation_adu: 60000 }
default_gain: low
masters: [bias, flat]
sensors: [{ id: "1" }, { id: "2" }]
header:
  object: { word: OBJECT }
  data_type: { word: IMAGETYP }
  utc_start: { word: DATE-OBS, kind: utc }
  exposure_s: { word: EXPTIME, kind: number }
  ra: { word: RA, kind: degrees, optional: true }
  dec: { word: DEC, kind: degrees, optional: true }
  sensor: { word: CHIP, optional: true }
  gain: { word: GAINSET, optional: true }
  filter: { word: FILTER, optional: true }
  exposure_id: { word: EXP_ID, optional: true }
  frame_id: { word: FRAME_ID, optional: true }
"""
TENTH_DEG = 40 / 3600
START = datetime(2024, 3, 1, 20)


@dataclass
class Camera:
    """Writes files in the order of time and takes them into an archive of its own."""

    folder: Path
    profile: Profile
    pixels: int = 0
    refused: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return open_store(self.folder / "archive")

    def shot(self, seconds: float = 0.0, name: str = "", **words: object) -> Path:
        self.pixels += 1
        path = self.folder / (name or f"{self.pixels:03d}.fits")
        path.parent.mkdir(parents=True, exist_ok=True)
        said = {"OBJECT": "M 67", "IMAGETYP": "OBJECT", "EXPTIME": 30.0, "RA": 150.0, "DEC": 20.0, "CHIP": "1"}
        header = fits.Header()
        for word, value in {**said, "DATE-OBS": (START + timedelta(seconds=seconds)).isoformat(), **words}.items():
            if value is not None:
                header[word] = value
        fits.PrimaryHDU(np.full((4, 6), self.pixels, np.int16), header).writeto(path)
        return path

    def take(self, *paths: Path) -> dict[str, list[str]]:
        """Take files in and return what the archive has then: the file names of each exposure."""
        arrivals, unread = read_arrivals(paths, self.profile)
        _, refused = take_in(self.store, self.profile, arrivals)
        self.refused += map(str, [*unread, *refused])
        return self.exposures()

    def exposures(self) -> dict[str, list[str]]:
        return {
            one.exposure: sorted(Path(key).stem for files in one.sensors.values() for key in files)
            for one in raw_exposures(self.store, "20240301")
        }

    def reduce(self, exposure: str, sensor: str = "1") -> None:
        """Leave a commit, as a reduction would."""
        self.store.write(f"exposures/20240301/{exposure}/r1/{sensor}.json", b"{}")


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(tmp_path, parse_profile(PROFILE, "tiny"))


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("OBJECT", ("J1000+2000", "J1000-2000")),
        ("OBJECT", ("M 67", "m 67")),
        ("OBJECT", ("M 67", "M  67")),
        ("OBJECT", ("M 67", " M 67")),
        ("OBJECT", ("***", "+++")),
        ("OBJECT", ("x" * 60 + "a", "x" * 60 + "b")),
        ("OBJECT", ("M 67", "M 67 2")),
        ("FILTER", ("R", "V")),
        ("FILTER", ("R", None)),
        ("EXPTIME", (30.0, 5.0)),
        ("EXPTIME", (30.0, 30.5)),
        ("GAINSET", ("low", "high")),
        ("DEC", (20.0, 20.0 + 1.05 * TENTH_DEG)),
        ("DEC", (20.0, -20.0)),
    ],
)
def test_frames_in_turn_are_one_exposure_for_each(camera: Camera, word: str, values: tuple[object, object]) -> None:
    files = [camera.shot(40 * number, **{word: values[number % 2]}) for number in range(6)]
    found = camera.take(*files)
    assert sorted(found.values()) == [["001", "003", "005"], ["002", "004", "006"]]
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) for name in found)
    assert camera.refused == []


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("EXPTIME", (30.0, 30.2)),
        ("DEC", (20.0, 20.0 + 0.95 * TENTH_DEG)),
        ("DEC", (20.0, None)),
        ("OBJECT", ("M 67", "M 67  ")),
        ("OTHER", ("a", "b")),
    ],
)
def test_what_hardly_differs_stays_together(camera: Camera, word: str, values: tuple[object, object]) -> None:
    files = [camera.shot(40 * number, **{word: values[number % 2]}) for number in range(4)]
    assert list(camera.take(*files)) == ["m-67"]


def test_an_angle_in_right_ascension_counts_on_the_sky(camera: Camera) -> None:
    # At the declination of 80 degrees 200 arcsec of right ascension are 35 arcsec.
    files = [
        camera.shot(40 * number, DEC=80.0, RA=(359.99, 359.99 + 200 / 3600 - 360)[number % 2]) for number in range(4)
    ]
    assert list(camera.take(*files)) == ["m-67"]


def test_a_tracked_target_begins_the_next_part_when_it_leaves_the_tenth(camera: Camera) -> None:
    files = [camera.shot(40 * number, DEC=20 + number * 0.3 * TENTH_DEG) for number in range(9)]
    assert camera.take(*files) == {
        "m-67": ["001", "002", "003", "004"],
        "m-67-2": ["005", "006", "007", "008"],
        "m-67-3": ["009"],
    }


def test_each_sensor_is_compared_with_its_own_first_frame(camera: Camera) -> None:
    files = [
        camera.shot(40 * (number // 2), CHIP="12"[number % 2], RA=150 + number % 2, DEC=20 + number // 4)
        for number in range(8)
    ]
    found = camera.take(*files)
    assert found == {"m-67": ["001", "002", "003", "004"], "m-67-2": ["005", "006", "007", "008"]}


def test_where_the_header_has_no_pointing_none_is_compared(camera: Camera) -> None:
    files = [camera.shot(40 * number, RA=None, DEC=None) for number in range(3)]
    assert list(camera.take(*files)) == ["m-67"]


def test_a_first_frame_without_pointing_does_not_join_two_fields(camera: Camera) -> None:
    places = [{"RA": None, "DEC": None}, {}, {"DEC": -20.0}, {}, {"DEC": -20.0}]
    files = [camera.shot(40 * number, **words) for number, words in enumerate(places)]
    assert camera.take(*files) == {"m-67": ["001", "002", "004"], "m-67-2": ["003", "005"]}


def test_earlier_files_that_come_later_get_the_names_of_one_go(camera: Camera) -> None:
    late, early = camera.shot(9000), camera.shot(0)
    assert camera.take(late) == {"m-67": ["001"]}
    assert camera.take(early) == {"m-67": ["002"], "m-67-2": ["001"]}
    assert [key for key in camera.store.list("raw/20240301/m-67") if key.endswith(".fits")] == [
        "raw/20240301/m-67/002.fits"
    ]


def test_a_target_whose_name_is_that_of_another_ones_second_exposure_gets_it_when_it_is_the_first(
    camera: Camera,
) -> None:
    late, again, early = camera.shot(1000), camera.shot(9000), camera.shot(0, OBJECT="M 67 2")
    assert camera.take(late, again) == {"m-67": ["001"], "m-67-2": ["002"]}
    assert camera.take(early) == {"m-67": ["001"], "m-67-2": ["003"], "m-67-3": ["002"]}


@pytest.mark.parametrize("why", ["reduced", "retained"])
def test_what_is_reduced_or_retained_keeps_its_name_which_is_said(
    camera: Camera, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    late, early, soon = camera.shot(9000), camera.shot(0), camera.shot(12000)
    camera.take(late)
    if why == "reduced":
        camera.reduce("m-67")
    else:
        camera.store.create("raw/20240301/m-67/retain", b"")
    assert camera.take(early) == {"m-67": ["001"], "m-67-2": ["002"]}
    assert caplog.messages == [
        "m-67 of 20240301 keeps its name, because it is reduced or retained; "
        "files that were taken earlier but arrived later are in m-67-2"
    ]
    assert camera.take(soon) == {"m-67": ["001"], "m-67-2": ["002"], "m-67-3": ["003"]}
    assert len(caplog.messages) == 1


def test_the_number_alone_decides_and_pointings_are_not_compared(camera: Camera) -> None:
    files = [camera.shot(9000 * number, EXP_ID="7", DEC=20.0 + number, CHIP=str(number + 1)) for number in range(2)]
    assert camera.take(*files) == {"00000007": ["001", "002"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"FILTER": "V"}, "filter is 'V', not 'R'"),
        ({"OBJECT": "M 44"}, "object is 'M 44', not 'M 67'"),
        ({"EXPTIME": 5.0}, "exposure_s is 5, not 30"),
        ({"GAINSET": "high"}, "gain is 'high', not 'low'"),
        ({"IMAGETYP": "DARK"}, "data_type is 'DARK', not 'OBJECT'"),
    ],
)
@pytest.mark.parametrize("portions", [False, True])
def test_files_of_one_number_that_differ_are_refused_and_named(
    camera: Camera, words: dict[str, object], said: str, portions: bool
) -> None:
    numbered = {"EXP_ID": "42", "FILTER": "R"}
    files = [camera.shot(0, **numbered), camera.shot(40, **{**numbered, **words}), camera.shot(80, **numbered)]
    for portion in [files[:1], files[1:]] if portions else [files]:
        camera.take(*portion)
    assert camera.exposures() == {"00000042": ["001", "003"]}
    (refusal,) = camera.refused
    assert refusal.startswith("002.fits: ")
    assert said in refusal
    assert "exposure number 42" in refusal


def test_numbers_that_are_words_keep_apart_what_differs_in_signs(camera: Camera) -> None:
    files = [camera.shot(40 * number, EXP_ID=("run+1", "run-1")[number % 2]) for number in range(4)]
    assert sorted(camera.take(*files).values()) == [["001", "003"], ["002", "004"]]
    again = Camera(camera.folder / "again", camera.profile)
    for path in files:
        again.take(path)
    assert again.exposures() == camera.exposures()


def test_a_target_that_looks_like_a_number_does_not_take_its_place(camera: Camera) -> None:
    files = [camera.shot(0, OBJECT="00000007"), camera.shot(40, EXP_ID="7")]
    assert camera.take(*files)["00000007"] == ["002"]


def test_two_cameras_do_not_share_an_exposure(camera: Camera) -> None:
    camera.take(camera.shot(0))
    other = Camera(camera.folder, parse_profile(PROFILE.replace("tiny", "other"), "other"), pixels=10)
    assert other.take(other.shot(40)) == {"m-67": ["001"], "m-67-2": ["011"]}


def test_calibration_frames_belong_together_by_what_a_master_depends_on(camera: Camera) -> None:
    def series(kind: str, **words: tuple[object, object]) -> list[Path]:
        start = 1000 * camera.pixels
        return [
            camera.shot(start + 20 * n, IMAGETYP=kind, **{word: pair[n % 2] for word, pair in words.items()})
            for n in range(4)
        ]

    one = [*series("BIAS", OBJECT=("zero", "bias 2"), EXPTIME=(0.0, 0.0), RA=(1.0, 9.0), FILTER=("R", "V"))]
    assert len(camera.take(*one)) == 1
    flats = series("FLAT", EXPTIME=(2.7, 4.5), RA=(1.0, 9.0), FILTER=("R", "R"))
    assert len(camera.take(*flats)) == 2
    assert len(camera.take(*series("FLAT", FILTER=("R", "V")))) == 4
    assert len(camera.take(*series("DARK", EXPTIME=(30.0, 60.0)))) == 6


def test_frames_that_come_later_join_while_nothing_is_reduced(camera: Camera) -> None:
    camera.take(camera.shot(0))
    assert camera.take(camera.shot(40)) == {"m-67": ["001", "002"]}


def test_frames_that_come_when_an_exposure_is_finished_become_the_next_one(camera: Camera) -> None:
    first, late = camera.shot(0), [camera.shot(40), camera.shot(80)]
    camera.take(first)
    camera.reduce("m-67")
    for _ in range(2):  # given again, they are the same
        assert camera.take(first, *late) == {"m-67": ["001"], "m-67-2": ["002", "003"]}
    assert camera.refused == []


def test_a_sensor_that_comes_later_joins_the_exposure_of_which_another_is_finished(camera: Camera) -> None:
    camera.take(camera.shot(0))
    camera.reduce("m-67", "1")
    assert camera.take(camera.shot(0.1, CHIP="2")) == {"m-67": ["001", "002"]}


@pytest.mark.parametrize("portions", [False, True])
def test_the_same_bytes_under_two_names_are_one_frame_and_named(camera: Camera, portions: bool) -> None:
    first, second = camera.shot(0, "s-0.fits"), camera.shot(40, "s-1.fits")
    copy, packed = camera.folder / "s-0 (1).fits", camera.folder / "a-0.fits.gz"
    copy.write_bytes(first.read_bytes())
    packed.write_bytes(gzip.compress(first.read_bytes()))
    for portion in [[first, second], [copy, packed]] if portions else [[packed, copy, first, second]]:
        camera.take(*portion)
    assert camera.exposures() == {"m-67": ["s-0", "s-1"]}
    assert sorted(one.partition(":")[0] for one in camera.refused) == ["a-0.fits.gz", "s-0 (1).fits"]
    assert all("the same frame as" in one and "s-0" in one for one in camera.refused)


def test_a_rice_compressed_copy_of_the_same_pixels_is_one_frame(camera: Camera) -> None:
    plain, packed = camera.shot(0, "a.fits"), camera.folder / "packed/a.fits.fz"
    packed.parent.mkdir()
    with fits.open(plain) as hdus:
        fits.CompImageHDU(hdus[0].data, hdus[0].header, compression_type="RICE_1").writeto(packed)
    camera.take(plain, packed)
    assert camera.exposures() == {"m-67": ["a"]}
    assert "a.fits.fz: it is the same frame as a.fits" in camera.refused[0]


def test_one_file_name_in_two_folders_is_two_files(camera: Camera) -> None:
    files = [camera.shot(40 * number, f"night-{number}/img-1.fits") for number in range(3)]
    camera.take(*files[:2])
    for _ in range(2):  # given again, each is found again
        assert camera.take(*files) == {"m-67": ["img-1", "img-1-2", "img-1-3"]}
    assert camera.refused == []
    assert {camera.store.read(f"raw/20240301/m-67/{name}.fits") for name in ("img-1", "img-1-2", "img-1-3")} == {
        one.read_bytes() for one in files
    }


def test_another_frame_of_the_same_sensor_and_moment_alone_is_refused(camera: Camera) -> None:
    camera.take(camera.shot(0), camera.shot(0), camera.shot(40))
    assert camera.exposures() == {"m-67": ["001", "003"]}
    assert "002.fits: the archive already contains raw/20240301/m-67/001.fits" in camera.refused[0]


def test_calibration_frames_of_one_second_are_all_taken(camera: Camera) -> None:
    words = {"IMAGETYP": "BIAS", "EXPTIME": 0.0, "OBJECT": "bias"}
    assert camera.take(*(camera.shot(0, **words) for _ in range(3))) == {"bias": ["001", "002", "003"]}


def test_an_archive_whose_records_say_less_is_read_from_its_headers(camera: Camera) -> None:
    camera.take(camera.shot(0, FILTER="R"))
    key = "raw/20240301/m-67/exposure.json"
    old = b'{"data_type": "OBJECT", "exposure": "m-67", "mjd": 60370.83, "night": "20240301", "object": "M 67", "sensors": {"1": ["raw/20240301/m-67/001.fits"]}}'  # noqa: E501 - as it was written
    camera.store.write(key, old)
    assert camera.take(camera.shot(40, FILTER="V"), camera.shot(80, FILTER="R")) == {
        "m-67": ["001", "003"],
        "m-67-2": ["002"],
    }


@pytest.mark.parametrize("expired", [False, True])
def test_a_numbered_exposure_whose_record_says_less_keeps_its_name(camera: Camera, expired: bool) -> None:
    path = camera.shot(0, EXP_ID="7")
    camera.take(path)
    key = "raw/20240301/00000007/001.fits"
    old = RawExposure("20240301", "00000007", "M 67", "OBJECT", 60370.83, {"1": (key,)})
    camera.store.write("raw/20240301/00000007/exposure.json", old.to_json())
    if expired:
        camera.store.delete(key)
    assert camera.take(path, camera.shot(0, EXP_ID="7", CHIP="2")) == {"00000007": ["001", "002"]}
    assert camera.refused == []


def test_a_file_that_is_refused_is_not_recorded_as_its_sensors(camera: Camera) -> None:
    files = [camera.shot(0, EXP_ID="7", CHIP=chip, FRAME_ID="A7") for chip in "12"]
    camera.take(*files)
    (one,) = raw_exposures(camera.store, "20240301")
    assert one.sensors == {"1": ("raw/20240301/00000007/A7.fits",)}
    assert "002.fits: the archive already contains raw/20240301/00000007/A7.fits" in camera.refused[0]


def test_a_watch_does_not_compare_files_with_one_that_was_refused(camera: Camera) -> None:
    camera.take(camera.shot(0, EXP_ID="7", CHIP="1", FRAME_ID="A7"))
    camera.shot(0, "in/wrong.fits", EXP_ID="7", CHIP="2", FRAME_ID="A7")
    arriving = Arriving(camera.folder / "in", camera.store, camera.profile, patience_s=60)
    arriving.look(0)
    _, (refused,) = arriving.look(1)
    assert "wrong.fits: the archive already contains raw/20240301/00000007/A7.fits" in str(refused.reason)
    right = camera.shot(0, "in/right.fits", EXP_ID="7", CHIP="2", FRAME_ID="A8")
    arriving.look(2)
    (group,), others = arriving.look(3)
    assert others == []
    assert [(one.arrival.path, one.key) for one in group.files] == [(right, "raw/20240301/00000007/A8.fits")]


SMALL = PROFILE.replace("[400, 400]", "[4, 6]").replace("[1:400,1:400]", "[1:6,1:4]")


@pytest.mark.parametrize(
    ("kind", "words", "said"),
    [
        ("OBJECT", {"EXPTIME": 5.0}, "exposure_s is 30.0, but 5.0"),
        ("OBJECT", {"OBJECT": "M 44"}, "object is 'M 67', but 'M 44'"),
        ("OBJECT", {"EXPTIME": 30.2}, ""),
        ("DARK", {"EXPTIME": 5.0}, "exposure_s is 30.0, but 5.0"),
        ("BIAS", {"FILTER": "R", "OBJECT": "zero"}, ""),
        ("FLAT", {"EXPTIME": 5.0, "OBJECT": "dome"}, ""),
        ("FLAT", {"FILTER": "R"}, "filter is '', but 'R'"),
    ],
)
def test_files_that_a_camera_put_into_one_folder_are_not_mixed_either(
    camera: Camera, kind: str, words: dict[str, object], said: str
) -> None:
    paths = [camera.shot(0, IMAGETYP=kind, **words), camera.shot(40, IMAGETYP=kind)]
    files = [parse_file(path.read_bytes(), path.name) for path in paths]
    if not said:
        assert assemble(files, parse_profile(SMALL, "tiny")).nframe == 2
        return
    with pytest.raises(CorruptFile, match=f"002.fits: {said} in 001.fits of the same exposure"):
        assemble(files, parse_profile(SMALL, "tiny"))


def steps_of_sorting(profile: Profile, store: Store, count: int, turn: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how often files were compared with exposures, for so many files of `turn` targets in turn."""
    words = {"IMAGETYP": "OBJECT", "EXPTIME": 30.0, "RA": 150.0, "DEC": 20.0, "DATE-OBS": START.isoformat()}
    headers = [read_header({**words, "OBJECT": f"T{number}"}, profile, "x") for number in range(turn)]
    arrivals = []
    for number in range(count):
        header = replace(headers[number % turn], utc_start=headers[0].utc_start + number / 86400)
        arrivals.append(Arrival(Path(f"{number}.fits"), header, frame_of(header, profile, (4, 6))))
    compared = 0
    fits_before = Exposures._fits

    def counted(self: Exposures, *given: Any) -> bool:
        nonlocal compared
        compared += 1
        return fits_before(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Exposures, "_fits", counted)
        found = sort_arrivals(ArchivedExposures(store, profile), arrivals)
    assert sum(map(len, found.groups.values())) == count
    return compared


@pytest.mark.parametrize(("kind", "turn"), [("frames", 1), ("frames", 20), ("cube", 1)])
def test_twice_as_many_files_without_numbers_cost_twice_as_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, turn: int
) -> None:
    profile, store = parse_profile(PROFILE.replace("raw: frames", f"raw: {kind}"), "tiny"), open_store(tmp_path)
    one, two = (steps_of_sorting(profile, store, count, turn, monkeypatch) for count in (1000, 2000))
    assert two <= 2.2 * one
    assert two <= 2000 * 20
