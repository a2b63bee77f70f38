"""Test the settings of a reference file: import options, their effect on a reduction's stars, and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from gozen.errors import BadRequest, UnreadableInput
from gozen.reduction.shared_inputs import open_shared_inputs
from gozen.settings import load_settings

HOURS, DEC = np.array([1.5, 2.5]), np.array([20.0, -30.0])


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder with a FITS file of two tables, the second one in hours under names of its own."""
    monkeypatch.chdir(tmp_path)
    first = fits.BinTableHDU.from_columns([fits.Column("RA", "D", array=[1.0]), fits.Column("DEC", "D", array=[2.0])])
    names = {"ALPHA": HOURS, "DELTA": DEC, "M": np.array([12.0, 13.0])}
    second = fits.BinTableHDU.from_columns([fits.Column(name, "D", array=value) for name, value in names.items()])
    fits.HDUList([fits.PrimaryHDU(), first, second, first.copy()]).writeto("stars.fits")


def settings_with(**said: object) -> object:
    return load_settings(archive="archive", instrument="tomoe", reference="stars.fits", reference_file=said)


def test_table_unit_columns_and_epoch_of_the_settings_count() -> None:
    columns = {"ra": "ALPHA", "dec": "DELTA", "g": "M"}
    said = {"hdu": "2", "unit": "hourangle,deg", "columns": columns, "epoch": 2000.0}
    found = open_shared_inputs(settings_with(**said)).reference  # type: ignore[arg-type]
    np.testing.assert_allclose([found.ra, found.dec, found.g], [HOURS * 15, DEC, [12.0, 13.0]])
    assert found.epoch == 2000.0


def test_the_environment_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOZEN_REFERENCE_FILE__HDU", "1")
    monkeypatch.setenv("GOZEN_REFERENCE_FILE__COLUMNS__RA", "RA")
    found = load_settings().reference_file
    assert (found.hdu, found.columns) == ("1", {"ra": "RA"})


def test_a_refusal_says_which_setting_helps() -> None:
    with pytest.raises(UnreadableInput, match=r"several tables.*use the settings reference_file\.hdu\)$"):
        open_shared_inputs(settings_with())  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match="'furlong' is not a unit of positions"):
        open_shared_inputs(settings_with(hdu="1", unit="furlong"))  # type: ignore[arg-type]


def test_they_are_refused_where_the_reference_is_not_a_file() -> None:
    settings = load_settings(archive="archive", instrument="tomoe", reference_file={"hdu": "2"})
    with pytest.raises(
        BadRequest, match=r"reference_file\.hdu applies only to a reference catalogue in a file, but reference = None"
    ):
        open_shared_inputs(settings)
