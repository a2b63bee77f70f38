"""Draw the pictures of the demo's report, except the pictures of moving objects."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
import pyarrow.compute as pc
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from matplotlib.figure import Figure

from gozen.archive.commit import SensorCommit
from gozen.archive.stores.open_store import Store
from gozen.catalog.format.partition_parquet import numbers
from gozen.catalog.format.schema import Flag
from gozen.demo.compare_stars import BRIGHTEST, FAINTEST, POSITION_ARCSEC, SCATTER_RATIO, happened, relative_flux
from gozen.demo.demo_results import Findings, LookUp
from gozen.demo.pair_with_truth import PairedStars, pair_stars
from gozen.plots.exposure_plot import draw_quality
from gozen.plots.light_curve_plot import draw_lightcurves
from gozen.plots.stack_image import Marks, draw_stack, source_marks
from gozen.plots.style import DARK, LIGHT, Theme, picture
from gozen.plots.truth_plot import draw_fluxes, draw_magnitudes, draw_positions
from gozen.report.report_model import Picture

MOST_STACKS = 2


def stack_pictures(store: Store, found: Findings) -> tuple[Picture, ...]:
    """Draw the first stacks, at most `MOST_STACKS`."""
    stacked = [one for one in found.commits if "stack" in one.products]
    return tuple(_stack(store, found, one) for one in stacked[:MOST_STACKS])


def lightcurve_pictures(found: Findings) -> tuple[Picture, ...]:
    """Draw each light curve that was looked up, together with the injected one."""
    clouds = any(not one.clear for one in found.truths)
    seen = [one for one in found.looked_up if len(one.own)]
    return tuple(_lightcurve(one, wide=one is seen[0], clouds=clouds) for one in seen)


def quality_pictures(found: Findings) -> tuple[Picture, ...]:
    """Draw the quality of each frame: shift, seeing, background, noise and zero point."""
    commits = [one for one in found.commits if one.frames]
    if not commits:
        return ()
    alt = f"Shift, seeing, background, noise and zero point of every frame of {len(commits)} sensor exposures."
    caption = "The air shifts each frame by a different amount; a cloud lowers the zero point."
    return (_both("Frame by frame", alt, lambda theme: draw_quality(commits, theme=theme), caption, wide=True),)


def comparison_pictures(found: Findings) -> tuple[Picture, ...]:
    """Draw measured against injected magnitudes (of exposures without clouds), positions, and fluxes of events."""
    paired = [(one, pair_stars(found.rows, one, found.diameter_px)) for one in found.truths]
    clear = [stars for one, stars in paired if one.clear]
    every = [stars for _, stars in paired]
    return tuple(drawn for drawn in (_magnitudes(clear), _positions(every), _events(found)) if drawn is not None)


def _stack(store: Store, found: Findings, commit: SensorCommit) -> Picture:
    with (
        fits.open(io.BytesIO(store.read(commit.products["stack"].key)), memmap=False) as hdus,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", FITSFixedWarning)  # WCS warns that it fills in keywords that Gozen leaves out
        image, wcs = np.asarray(hdus[1].data, np.float32), WCS(hdus[1].header)
    rows = found.rows.filter(
        pc.and_(pc.equal(found.rows["exposure"], commit.exposure), pc.equal(found.rows["sensor"], int(commit.sensor)))
    )
    rows = rows.filter(pc.equal(rows["frame"], pc.min(rows["frame"])))
    matched = (numbers(rows, "flags") & Flag.UNMATCHED) == 0
    marks = [*source_marks(numbers(rows, "x"), numbers(rows, "y"), matched), *_happenings(found, commit)]
    title = f"Exposure {commit.exposure}, sensor {commit.sensor}"
    figure = draw_stack(image, wcs if commit.summary.wcs_method else None, marks, theme=DARK)
    alt = (
        f"Stack of {commit.nframe} frames with {matched.sum()} matched stars circled and {(~matched).sum()} "
        f"unmatched sources crossed, in equatorial coordinates."
    )
    return Picture(title, alt, picture(figure, "webp"), kind="image/webp", wide=True)


def _happenings(found: Findings, commit: SensorCommit) -> list[Marks]:
    seen = next(one for one in found.truths if (one.exposure, one.sensor_id) == (commit.exposure, commit.sensor))
    marks = []
    for one in found.looked_up:
        star = seen.stars.filter(pc.equal(seen.stars["source_id"], one.source_id))
        if len(star):
            place = numbers(star, "x"), numbers(star, "y")
            marks.append(Marks(one.name, *place, colour="warning", size=14, names=(one.name,)))
    names = list(dict.fromkeys(seen.movers["event"].to_pylist()))
    if names:
        middle = [seen.movers.filter(pc.equal(seen.movers["event"], name)) for name in names]
        x, y = (np.array([float(numbers(one, axis)[len(one) // 2]) for one in middle]) for axis in "xy")
        marks.append(Marks("injected mover", x, y, marker="D", colour="truth", size=13, names=tuple(names)))
    return marks


def _lightcurve(one: LookUp, *, wide: bool, clouds: bool) -> Picture:
    title = one.name[0].upper() + one.name[1:]
    alt = (
        f"Flux against time of the star {one.source_id}, {len(one.own)} points with error bars, on the injected curve."
    )
    caption = f"G = {one.g:.2f}, RA {one.ra:.5f}°, Dec {one.dec:+.5f}°; the dashed line is what was injected."
    if clouds:
        caption += " The dip that all stars share is an injected cloud."
    truths, width = {one.source_id: one.injected}, 9.5 if wide else 5.6

    def draw(theme: Theme) -> Figure:
        return draw_lightcurves(one.own, truth=truths, theme=theme, width=width)

    return _both(title, alt, draw, caption, wide=wide)


def _magnitudes(groups: list[PairedStars]) -> Picture | None:
    g, residual, scatter, predicted = (_joined(groups, name) for name in ("g", "residual", "scatter", "predicted"))
    used = np.concatenate([stars.between(BRIGHTEST, FAINTEST) for stars in groups]) if groups else np.empty(0, bool)
    if not used.any():
        return None
    alt = f"Measured minus true magnitude and scatter against brightness, {used.sum()} stars compared of {len(g)}."
    caption = (
        f"Dark points: isolated stars of {BRIGHTEST:g} to {FAINTEST:g} mag, from which the numbers are computed; their "
        f"median scatter may be {SCATTER_RATIO:g} times the line. Pale points: blended, flagged, variable or fainter."
    )
    return _both(
        "Magnitudes",
        alt,
        lambda theme: draw_magnitudes(g, residual, scatter, predicted, used=used, theme=theme),
        caption,
        wide=True,
    )


def _positions(groups: list[PairedStars]) -> Picture | None:
    chosen = [stars.between(BRIGHTEST, FAINTEST) for stars in groups]
    dx, dy = (
        np.concatenate([getattr(stars, name)[which] for stars, which in zip(groups, chosen, strict=True)])
        for name in ("d_ra", "d_dec")
    )
    if not len(dx):
        return None
    alt = f"Measured minus true position of {len(dx)} stars, with a circle at {POSITION_ARCSEC} arcsec."
    caption = f"{len(dx)} isolated stars; the rms of either axis may be {POSITION_ARCSEC}″, the circle."
    return _both(
        "Positions", alt, lambda theme: draw_positions(dx, dy, tolerance=POSITION_ARCSEC, theme=theme), caption
    )


def _events(found: Findings) -> Picture | None:
    events = []
    for one in found.looked_up:
        seen = next((truth_ for truth_ in found.truths if happened(truth_, one.name)), None)
        if seen is not None:
            mjd, recovered, error = relative_flux(found.rows, seen, one.source_id)
            of_event = seen.variables.filter(pc.equal(seen.variables["event"], one.name))
            injected = np.interp(mjd, numbers(of_event, "mjd"), numbers(of_event, "factor"))
            events.append((one.name, injected, recovered, error))
    if not events:
        return None
    alt = f"Recovered against injected flux of {', '.join(name for name, *_ in events)}, on the line of equality."
    caption = "Each point is a frame; on the dashed line the recovered flux is the injected one."
    return _both("Events", alt, lambda theme: draw_fluxes(events, theme=theme), caption)


def _joined(groups: list[PairedStars], name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.concatenate([getattr(stars, name) for stars in groups]) if groups else np.empty(0)


def _both(title: str, alt: str, draw: Callable[[Theme], Figure], caption: str = "", *, wide: bool = False) -> Picture:
    light, dark = (picture(draw(theme), "svg") for theme in (LIGHT, DARK))
    return Picture(title, alt, light, dark, caption=caption, wide=wide)
