"""Test drivers of devices: found by entry point; errors for unknown, broken and unsuitable ones."""

import pytest

from gozen.archive.stores.open_store import open_store
from gozen.errors import BadRequest, DeviceFailed
from gozen.instrument.profile import load_profile
from gozen.observing.device_drivers import load_observatory
from gozen.settings import ObservatorySettings, Settings

DRIVER = """
from gozen.errors import DeviceFailed
def wrong(settings, profile, store): return object()
def silent(settings, profile, store): raise DeviceFailed("the mount does not answer")
def broken(settings, profile, store): raise KeyError("port")
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    (tmp_path / "site_driver.py").write_text(DRIVER)
    info = tmp_path / "site_driver-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: site-driver\nVersion: 1.0\n")
    words = [f"{name} = site_driver:{name}" for name in ("wrong", "silent", "broken", "absent")]
    (info / "entry_points.txt").write_text("[gozen.drivers]\n" + "\n".join(words))
    monkeypatch.syspath_prepend(tmp_path)

    def loaded(name):
        settings = Settings(observatory=ObservatorySettings(driver=name))
        return load_observatory(settings, load_profile("tomoe"), open_store(tmp_path / "archive"))

    return loaded


def test_the_simulated_observatory_is_found(load):
    observatory = load("simulated")
    assert not observatory.busy()
    assert observatory.camera.state().phase == "idle"
    assert observatory.conditions()["domeslit_open"]


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        (
            "subaru",
            BadRequest,
            "'subaru': no such driver is installed; the installed drivers are absent, broken, silent, simulated, wrong",
        ),
        ("absent", BadRequest, "(site_driver:absent) cannot be loaded"),
        ("broken", BadRequest, "does not start: KeyError: 'port'"),
        ("silent", DeviceFailed, "the mount does not answer"),
        ("wrong", BadRequest, "returned object, not an Observatory"),
    ],
)
def test_a_driver_that_will_not_do_is_named(load, name, error, said):
    with pytest.raises(error) as raised:
        load(name)
    assert said in str(raised.value)
