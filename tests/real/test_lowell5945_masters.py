"""``gozen masters`` on observed twilight flats and biases: flats of two exposure times and many pointings, one master.

The effect of the masters on sky frames: test_lowell5945.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from astropy.io import fits

from gozen.archive.stores.open_store import open_store
from gozen.calibration.master_match import CalibrationSetup
from gozen.calibration.master_search import find_masters
from gozen.cli.call import run
from gozen.frames.raw import assemble, parse_file
from gozen.instrument.profile import load_profile

from .conftest import PROFILES

CAMERA = str(PROFILES / "lowell42.yaml")


@pytest.fixture
def made(observed, tmp_path, monkeypatch, capsys):
    """Return the folder of data, the archive, the exit code and what was said."""
    folder = observed("lowell5945")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOZEN_WORKERS", "1")
    code = run(["masters", str(folder / "flat"), str(folder / "zero"), "--instrument", CAMERA])
    return folder, open_store(tmp_path / "archive"), int(code), capsys.readouterr().out


def test_flats_of_two_exposure_times_and_biases_give_a_master_each(made):
    folder, store, code, said = made
    assert code == 0
    keys = [line.rpartition(" ")[2] for line in said.splitlines() if " master of sensor 1: " in line]
    headers = [fits.getheader(io.BytesIO(store.read(key))) for key in keys]
    assert sorted((one["OBJECT"], one["NCOMBINE"]) for one in headers) == [("BIAS", 5), ("FLAT", 4)]
    flat = next(one for one in headers if one["OBJECT"] == "FLAT")
    assert (flat["INSTRUME"], flat["GAINMODE"], flat["BIASFIT"]) == ("lowell42", "amp1", "exact")
    profile = load_profile(CAMERA)
    raw = folder / "20190326.0150.fits.gz"
    sky = assemble([parse_file(raw.read_bytes(), raw.name)], profile)
    found = find_masters(store, profile, "1", "20190325", float(sky.start[0]), CalibrationSetup.of_header(sky.header))
    # The header of a twilight flat does not name the filter here, that of the sky does.
    fits_of = {kind: master.used.match.fit for kind, master in found.items()}
    assert fits_of == {"bias": "exact", "flat": "filter not stated"}
    raw = [fits.getdata(path)[:, 17:1382].astype(float) - 1626 for path in sorted((folder / "flat").glob("*.gz"))]
    expected = np.median([frame / np.median(frame) for frame in raw], axis=0)
    ratio = found["flat"].image / expected
    assert np.nanstd(ratio[300:1000, 300:1000]) < 0.01
    assert np.nanmedian(found["flat"].image) == pytest.approx(1.0, abs=1e-3)
