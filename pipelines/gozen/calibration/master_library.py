"""Store and read masters: header and image. `master_search` finds the masters for an exposure."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np

from gozen.archive import keys
from gozen.archive.commit import Product, put_product, read_commit
from gozen.archive.keys import Calibration
from gozen.archive.provenance import sha256
from gozen.archive.stores.open_store import Store
from gozen.calibration.calibrate_frame import Image
from gozen.calibration.master_match import CalibrationSetup, MasterFacts
from gozen.errors import CorruptFile, UnreadableInput
from gozen.frames.fits_products import plain, read_plain
from gozen.frames.fits_units import Card
from gozen.frames.raw import read_words
from gozen.instrument.read_header import utc_of_mjd


@dataclass(frozen=True)
class MasterImage:
    """A master that is not stored yet.

    Parameters
    ----------
    mjd
        Start of the exposure after which the master is named, MJD (UTC).
    cards
        Additional header cards, for provenance.
    """

    kind: Calibration
    image: Image
    mjd: float
    cards: list[Card] = field(default_factory=list)


def put_master(store: Store, processing: keys.Processing, sensor: str, master: MasterImage) -> Product:
    """Store a master; return its record for the commit.

    Parameters
    ----------
    processing
        Night and exposure after which the master is named.
    """
    kind, image, mjd = master.kind, master.image, master.mjd
    key = keys.master(kind, processing.night, processing.exposure, sensor)
    when = utc_of_mjd(mjd).strftime("%Y-%m-%dT%H:%M:%S")
    own: list[Card] = [
        ("OBJECT", kind.upper(), "calibration master"),
        ("DATE-OBS", when, "UTC, start of the exposure"),
        ("MJD-OBS", mjd, "[d] UTC, start of the exposure"),
        ("BUNIT", "" if kind == "flat" else "ADU", "unit of the pixels"),
        ("DET_ID", sensor, "sensor"),
        ("NBAD", int(np.isnan(image).sum()), "dead pixels"),
    ]
    return put_product(store, key, plain(image, own + master.cards, when))


@functools.lru_cache(maxsize=4096)
def master_facts(store: Store, key: str) -> MasterFacts:
    """Read the header of a master; it is cached in the process, because a committed master never changes.

    Raises
    ------
    UnreadableInput
        The file cannot be read, or is not a master.
    """
    try:
        with store.open(key) as stream:
            words, _ = read_words(stream)
    except CorruptFile as error:
        raise UnreadableInput(f"{store.url_of(key)} cannot be read as FITS ({error}); make the master again") from error
    try:
        taken = float(words["MJD-OBS"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableInput(
            f"{store.url_of(key)} has no keyword MJD-OBS, so Gozen did not make this file: move it away"
        ) from error
    camera = str(words.get("INSTRUME") or "").strip() or _camera_of_old(store, key)
    return MasterFacts(key, camera, CalibrationSetup.of_master(words), taken)


def _camera_of_old(store: Store, key: str) -> str:
    """Return the camera of an old master, whose header does not name it, from its commit; empty if unknown."""
    _, _, night, exposure, name = key.split("/")
    commit = read_commit(store, keys.Processing(night, exposure), name.removesuffix(".fits"))
    return commit.instrument if commit else ""


@functools.lru_cache(maxsize=16)
def read_master(store: Store, key: str, shape: tuple[int, int] | None) -> tuple[Image, str]:
    """Return the image and SHA-256 of a master; raise `UnreadableInput` if it has no image or another shape."""
    data = store.read(key)
    return read_plain(data, store.url_of(key), shape)[0], sha256(data)
