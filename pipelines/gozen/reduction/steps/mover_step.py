"""Pipeline ``neo``: find movers, streaks and flares, record them, and store their cutouts."""

from __future__ import annotations

from gozen.archive import keys
from gozen.archive.commit import Product, put_new_product
from gozen.archive.tracklet_record import TrackletRecord
from gozen.reduction.find_movers import Found, find_moving
from gozen.reduction.flare_rows import flare_rows
from gozen.reduction.neo_product import film_bytes
from gozen.reduction.sensor_stages import Measured, Searched, Stage
from gozen.reduction.sky_tracklets import Place, records_of


def search_movers(measured: Measured, reached: Stage) -> Searched:
    """Find and record movers, streaks and flares, and store the cutouts."""
    found, context, aligned = measured.found, measured.context, measured.solved.aligned.stack
    moving = find_moving(aligned, found.skies, found.apertures.diameters_px[0], context.settings.movers)
    place = Place(aligned, measured.solved.solution, found.zero)
    tracklets = tuple(records_of(moving, place, context.processing))
    products = _film(tracklets, moving, measured)
    flashes = flare_rows(moving.flares, measured) if moving.flares else None
    flares = 0 if flashes is None else len(flashes) // max(len(found.skies), 1)
    return Searched(reached, tracklets, flares, flashes, products=products)


def _film(tracklets: tuple[TrackletRecord, ...], moving: Found, measured: Measured) -> dict[str, Product]:
    if not tracklets:
        return {}
    context, cube = measured.context, measured.solved.aligned.stack.cube
    key = keys.neo(context.processing, cube.raw.frame_id)
    return {"neo": put_new_product(context.store, key, film_bytes(tracklets, moving, cube, context), context.version)}
