"""Movers: linking against a peer, and completeness and false tracklets on simulated cubes.

The peer is ``tracee`` (PyPI, k = 3, its defaults but for the fastest rate and the size of a step): objects of 18 points
with places good to 0.3 pixel among 50 and 200 distractors on each frame, the same points for both. An object counts as
found when one tracklet holds at least four fifths of its points. Then whole cubes of the size of Tomo-e Gozen's, with
about 1,500 sources, a cloud and hot pixels, into which objects are put that move by 1.5 to 5
pixels a frame, trail accordingly, and have a signal-to-noise of 7 to 12 on each frame.

    python benchmarks/movers.py [--json FILE] [--fields 20] [--cubes 2]
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tracee

from goals import Goal, conclude

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.moving_points import FRAMES, SHAPE, field

from gozen.calibration.calibrate_frame import detector_of
from gozen.frames.raw import RawCube, RawFile, assemble
from gozen.instrument.profile import load_profile
from gozen.movers.link_tracklets import LineLimits, link
from gozen.photometry.forced_photometry import ApertureSet
from gozen.reduction.align_frames import align, align_roughly
from gozen.reduction.buffers import Workspace
from gozen.reduction.calibrated_frames import CalibratedCube, calibrate_cube
from gozen.reduction.find_movers import find_moving
from gozen.reduction.measure_stars import measure_frames
from gozen.settings import Settings

OBJECTS = 20
STEP = 100.0
DIAMETER_PX = 21
"""By how much a frame stands from the next for the peer, whose metric is that of space and time together."""


def found_by(lines: list[np.ndarray], owner: np.ndarray) -> set[int]:
    """Return the objects of which one line holds four fifths."""
    out = set()
    for members in lines:
        numbers, counts = np.unique(owner[members], return_counts=True)
        out |= {int(n) for n, c in zip(numbers, counts, strict=True) if n >= 0 and c >= 0.8 * FRAMES}
    return out


def ours(points: Any, times: np.ndarray) -> list[np.ndarray]:
    """Link and return members."""
    return [line.members for line in link(points, times, SHAPE, LineLimits(30.0))]


def peer(points: Any, step: float) -> list[np.ndarray]:
    """Link by the peer and return members."""
    vertex = np.column_stack([points.x, points.y, points.frame * step]).astype(float)
    index = {tuple(row): number for number, row in enumerate(vertex)}
    found = tracee.extract(vertex, n_neighbor=3, max_velocity=30.0 / step)
    return [np.array([index[tuple(row)] for row in one.members]) for one in found]


def linking(fields: int) -> dict[str, Any]:
    """Compare completeness and time of both on the same fields."""
    out: dict[str, Any] = {}
    ours(*field()[:2])
    for distractors in (50, 200):
        made = [field(seed=seed, objects=OBJECTS, distractors=distractors) for seed in range(fields)]
        begin = time.perf_counter()
        mine = [ours(points, times) for points, times, _ in made]
        middle = time.perf_counter()
        mine_s = (middle - begin) / fields
        best: dict[str, float] = {}
        # The peer's result hangs on how frames are spaced; it gets the spacing that suits it best.
        for step in (1.0, 3.0, 10.0, 30.0):
            begin = time.perf_counter()
            theirs = [peer(points, step) for points, _, _ in made]
            theirs_s = (time.perf_counter() - begin) / fields
            complete = _completeness(theirs, made)
            if complete >= best.get("completeness", -1.0):
                lines = sum(map(len, theirs)) / fields
                best = {"completeness": complete, "ms": theirs_s * 1000, "step": step, "tracklets": lines}
        false = sum(len(lines) - len(found_by(lines, owner)) for lines, (_, _, owner) in zip(mine, made, strict=True))
        out[str(distractors)] = {
            "ours": {"completeness": _completeness(mine, made), "ms": mine_s * 1000, "false": false / fields},
            "tracee": best,
        }
    return out


def _completeness(lines: list[list[np.ndarray]], made: list[Any]) -> float:
    numbers = [len(found_by(one, owner)) for one, (_, _, owner) in zip(lines, made, strict=True)]
    return sum(numbers) / (OBJECTS * len(made))


def simulated_cube(seed: int) -> tuple[RawCube, Any, list[np.ndarray]]:
    """Make a raw cube with stars, a cloud, hot pixels and movers; return it, its detector and the movers' places."""
    rng = np.random.default_rng(seed)
    profile = load_profile("tomoe")
    rows, columns = profile.active_shape
    gain = profile.gains[profile.default_gain]
    sky_e, sigma = 60.0, 1.3
    noise_e = np.sqrt(sky_e + gain.read_noise_e**2)
    stars = 1_500
    x, y = rng.uniform(0, columns, stars), rng.uniform(0, rows, stars)
    flux = 60 * noise_e * rng.pareto(0.9, stars).clip(0.3, 3000)
    clouds = np.clip(1 - 0.7 * np.exp(-(((np.arange(FRAMES) - 11) / 2.5) ** 2)), 0.2, 1)
    hot = rng.integers(0, rows, 400), rng.integers(0, columns, 400)
    heat = 50 * noise_e * rng.exponential(1.0, 400)
    movers = []
    for _ in range(40):
        speed, angle, snr = rng.uniform(1.5, 5), rng.uniform(0, 2 * np.pi), rng.uniform(7, 12)
        since = np.arange(FRAMES) - (FRAMES - 1) / 2
        mx = rng.uniform(220, columns - 220) + speed * np.cos(angle) * since
        my = rng.uniform(220, rows - 220) + speed * np.sin(angle) * since
        # Signal-to-noise of the best (matched) measurement of the trail, which is what a limiting magnitude speaks of.
        spread = 2 * np.sqrt(np.pi) * sigma * (1 + speed**2 / (12 * sigma**2)) ** 0.25
        step = np.full(FRAMES, speed * np.cos(angle)), np.full(FRAMES, speed * np.sin(angle))
        movers.append(np.column_stack([mx, my, np.full(FRAMES, snr * noise_e * spread), *step]))
    raw = np.zeros((FRAMES, *profile.shape), np.uint16)
    for frame in range(FRAMES):
        wander = rng.normal(0, 0.15, 2)
        width = sigma * rng.normal(1, 0.04)
        light = np.zeros((rows, columns), np.float32)
        _paint(light, x + wander[0], y + wander[1], flux * clouds[frame], width)
        mine = np.array([one[frame] for one in movers])
        for part in np.linspace(-0.45, 0.45, 10):
            mx, my = mine[:, 0] + part * mine[:, 3], mine[:, 1] + part * mine[:, 4]
            _paint(light, mx + wander[0], my + wander[1], mine[:, 2] / 10, width)
        electrons = rng.poisson(np.maximum(light + sky_e, 0)).astype(np.float32)
        electrons[hot] += heat * rng.uniform(0.6, 1.4, 400)
        electrons += rng.normal(0, gain.read_noise_e, light.shape)
        full = rng.normal(0, gain.read_noise_e, profile.shape) / gain.e_per_adu + 1000
        detector = detector_of(profile, "111", profile.default_gain)
        full[detector.active] += electrons / gain.e_per_adu
        raw[frame] = np.clip(np.rint(full), 0, 65535)
    words = {
        "OBJECT": "field", "DATA-TYP": "OBJECT", "UTC": "2026-01-15T13:00:00", "EXPTIME1": 0.499904, "TFRAME": 0.500,
        "TRLSTEP1": 0.00041475, "RA": "01:19:00", "DEC": "+29:42:00", "DET_ID": "111", "EXP_ID": 1,
        "UTC-EXP": "2026-01-15T12:59:59",
        "QUAD_ID": 1, "GAIN": profile.default_gain,
    }  # fmt: skip
    cube = assemble([RawFile("cube.fits", words, raw, 0.0, "0" * 64)], profile)
    return cube, detector_of(profile, "111", cube.header.gain), movers


def _paint(image: np.ndarray, x: np.ndarray, y: np.ndarray, flux: np.ndarray, sigma: float) -> None:
    reach = 8
    for cx, cy, total in zip(x, y, flux, strict=True):
        left, low = max(round(cx) - reach, 0), max(round(cy) - reach, 0)
        gx = np.exp(-((np.arange(left, min(left + 2 * reach + 1, image.shape[1])) - cx) ** 2) / (2 * sigma**2))
        gy = np.exp(-((np.arange(low, min(low + 2 * reach + 1, image.shape[0])) - cy) ** 2) / (2 * sigma**2))
        stamp = total / (2 * np.pi * sigma**2) * gy[:, None] * gx
        image[low : low + len(gy), left : left + len(gx)] += stamp


def in_cubes(cubes: int) -> dict[str, Any]:
    """Search simulated cubes and count what is found, what is false, and the time."""
    settings = Settings()
    known = right = false = 0
    spent = []
    sources = []
    for seed in range(cubes):
        cube, detector, movers = simulated_cube(seed)
        calibrated: CalibratedCube = calibrate_cube(cube, detector, settings.gates, Workspace())
        aligned = align(align_roughly(calibrated, 1, settings.gates), settings.detection)
        skies, _ = measure_frames(aligned, ApertureSet((DIAMETER_PX,), settings.photometry.limit_sigma))
        for _ in range(2 if seed == 0 else 1):
            begin = time.perf_counter()
            found = find_moving(aligned, skies, DIAMETER_PX, settings.movers)
            last = time.perf_counter() - begin
        spent.append(last / FRAMES * 1000)
        sources.append(len(aligned.sources))
        truth = np.array([one[:, :2] for one in movers])
        hits: set[int] = set()
        for track in found.tracks:
            away = np.hypot(truth[:, track.frame, 0] - track.x, truth[:, track.frame, 1] - track.y)
            best = int(np.argmin(np.median(away, axis=1)))
            if np.median(away[best]) < 2 and best not in hits:
                hits.add(best)
            else:
                false += 1
        false += len(found.chains)
        known, right = known + len(movers), right + len(hits)
    return {
        "objects": known,
        "completeness": right / known,
        "false_per_cube": false / cubes,
        "ms_per_frame": float(np.median(spent)),
        "sources": float(np.mean(sources)),
    }


def main() -> int:
    """Measure, print, and say whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--fields", type=int, default=20)
    parser.add_argument("--cubes", type=int, default=2)
    given = parser.parse_args()
    result: dict[str, Any] = {"linking": linking(given.fields), "cubes": in_cubes(given.cubes)}
    goals: list[Goal] = []
    for distractors, one in result["linking"].items():
        mine, theirs = one["ours"], one["tracee"]
        print(
            f"{distractors} distractors: ours {mine['completeness']:.3f} in {mine['ms']:.2f} ms, {mine['false']:.2f} "
            f"false; tracee {theirs['completeness']:.3f} in {theirs['ms']:.2f} ms, step {theirs['step']:g}"
        )
        ratio = mine["ms"] / theirs["ms"]
        short = theirs["completeness"] - mine["completeness"]
        goals.append(Goal(f"linking_time_{distractors}", ratio, 0.2))
        goals.append(Goal(f"linking_missed_{distractors}", short, 0.0))
    cubes = result["cubes"]
    print(
        f"cubes of {cubes['sources']:.0f} sources: {cubes['completeness']:.3f} of {cubes['objects']} objects, "
        f"{cubes['false_per_cube']:.2f} false each, {cubes['ms_per_frame']:.1f} ms a frame"
    )
    goals.append(Goal("completeness", cubes["completeness"], 0.95, at_least=True))
    goals.append(Goal("false_per_cube", cubes["false_per_cube"], 1.0))
    return conclude(goals, result, given.json)


if __name__ == "__main__":
    sys.exit(main())
