"""Where files of a lab are in Nextcloud, and how JupyterLab finds the dialog: decisions without a server.

Covered: paths of the file browser, a home that Nextcloud shows, the parts that are installed. Not here: the answers of
the lab's server (services/test_share_dialog_server.py), the dialog (services/test_share_dialog.py).
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from gozen.errors import BadRequest, UnsuitableName
from gozen.sharing.home_folder import HomeFolder
from gozen.sharing.lab import JUPYTER
from gozen.sharing.lab.lab_places import LabPlaces, file_below
from gozen.sharing.transfers.visible_files import VisibleFiles
from gozen_hub.start_lab import jupyter_paths

ROOT = Path(__file__).parents[2]
EXTENSION = JUPYTER / "labextensions" / "gozen-share"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    found = tmp_path / "home"
    (found / "results").mkdir(parents=True)
    (found / "results" / "lc.csv").write_text("1")
    (found / ".profile").write_text("")
    return found.resolve()


def test_a_file_is_sent_to_the_same_path_below_the_folder_of_the_setting(home: Path) -> None:
    places = LabPlaces(home, HomeFolder(home), "From the lab/today")
    (place,) = places.of(["results/lc.csv"])
    assert (place.file, place.cloud, place.shown) == (
        home / "results" / "lc.csv",
        "From the lab/today/results/lc.csv",
        False,
    )
    assert LabPlaces(home, HomeFolder(home), "").of(["results"])[0].cloud == "results"


def test_a_file_of_a_home_that_nextcloud_shows_is_not_sent(home: Path) -> None:
    (place,) = LabPlaces(home, HomeFolder(home, "Lab"), "Gozen").of(["results/lc.csv"])
    assert (place.cloud, place.shown) == ("Lab/results/lc.csv", True)
    (place,) = LabPlaces(home, HomeFolder(home / "results", "Lab"), "Gozen").of(["results/lc.csv"])
    assert (place.cloud, place.shown) == ("Lab/lc.csv", True)


def test_hidden_files_are_shared_if_the_file_browser_shows_them(home: Path) -> None:
    with pytest.raises(BadRequest, match="is hidden"):
        file_below(VisibleFiles(home), ".profile")
    assert file_below(VisibleFiles(home, hidden=True), ".profile") == home / ".profile"
    (home / "profile").symlink_to(home / ".profile")
    with pytest.raises(BadRequest, match="is a link to a hidden file"):
        file_below(VisibleFiles(home), "profile")
    assert file_below(VisibleFiles(home, hidden=True), "profile") == home / "profile"


def test_links_are_followed_within_the_folder_only(home: Path, tmp_path: Path) -> None:
    (tmp_path / "homes").mkdir()
    (home / "inside").symlink_to(home / "results")
    (home / "outside").symlink_to(tmp_path / "homes")
    assert file_below(VisibleFiles(home), "inside/lc.csv") == home / "inside" / "lc.csv"
    for path in ("outside", "a\\b", "a\0b", ".."):
        with pytest.raises(BadRequest):
            file_below(VisibleFiles(home, hidden=True), path)


def test_names_that_nextcloud_does_not_keep_are_refused(home: Path) -> None:
    (home / "draft.").write_text("")
    with pytest.raises(UnsuitableName, match="ends with a dot"):
        LabPlaces(home, HomeFolder(home), "Gozen").of(["draft."])


def test_what_a_user_writes_is_a_file_of_the_home_or_a_path_in_nextcloud(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home / "results")
    lab = HomeFolder(home, "Lab")
    (home / ".hidden").write_text("")
    assert lab.meant("lc.csv") == "Lab/results/lc.csv"
    assert lab.meant(str(home)) == "Lab"
    assert lab.meant("../.hidden") == "Lab/.hidden"
    assert [lab.meant(one) for one in ("", "/lc.csv", "survey/lc.csv", str(tmp_path))] == [
        "",
        "/lc.csv",
        "survey/lc.csv",
        str(tmp_path),
    ]
    assert HomeFolder(home).meant("lc.csv") == "lc.csv"
    assert [lab.shows(one) for one in ("Lab", "Lab/x", "Labs/x", "x")] == [True, True, False, False]
    for other, said in ((HomeFolder(home), "sharing.home_folder is not set"), (lab, "it is not below")):
        with pytest.raises(BadRequest, match=said):
            other.path_of(tmp_path)


def test_labs_of_the_hub_find_the_dialog_before_what_the_user_has_installed() -> None:
    found = jupyter_paths({"JUPYTER_PATH": "/mine"})
    assert found["JUPYTER_PATH"] == f"{JUPYTER}:/mine"
    assert found["JUPYTER_CONFIG_PATH"].endswith(f"gozen_hub/jupyter:{JUPYTER}")
    configuration = json.loads((JUPYTER / "jupyter_server_config.d" / "gozen-share.json").read_text())
    assert configuration == {"ServerApp": {"jpserver_extensions": {"gozen.sharing.lab": True}}}


def test_the_wheel_has_every_part_where_jupyter_looks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    placed = project["tool"]["setuptools"]["data-files"]
    found = {Path(folder) / file.name for folder, globs in placed.items() for one in globs for file in ROOT.glob(one)}
    ours = [one.relative_to(JUPYTER) for one in JUPYTER.rglob("*") if one.is_file()]
    wanted = {("etc" if one.parts[0].endswith(".d") else "share") / Path("jupyter") / one for one in ours}
    assert wanted <= found
    assert len(wanted) == 6
    build = json.loads((EXTENSION / "package.json").read_text())["jupyterlab"]["_build"]
    assert (EXTENSION / build["load"]).is_file()


def test_the_script_puts_nothing_in_as_html_and_says_all_in_japanese() -> None:
    script = (EXTENSION / "static" / "gozen-share.js").read_text(encoding="utf-8")
    for one in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert one not in script
    said = set(re.findall(r'say\(\s*"((?:[^"\\]|\\.)*)"', script))
    japanese = json.loads((EXTENSION / "static" / "words.ja.json").read_text(encoding="utf-8"))
    assert said == set(japanese)
    assert all(english.count("{}") == text.count("{}") for english, text in japanese.items())
