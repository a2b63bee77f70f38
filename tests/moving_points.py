"""Input for the linking of tracklets: objects on straight lines among false candidates, with the true lines."""

from __future__ import annotations

import numpy as np

from gozen.movers.link_tracklets import Points

SHAPE = (1128, 2000)
FRAMES = 18


def field(seed=1, objects=5, distractors=50, rate=(1.0, 20.0), error=0.3, missing=0.0, shape=SHAPE, frames=FRAMES):
    """Return points, the frames' times, and which object each point belongs to (-1: none).

    Parameters
    ----------
    distractors
        On each frame, anywhere.
    rate
        Slowest and fastest, pixels from frame to frame.
    error
        Of a place, pixels per axis.
    missing
        Fraction of the objects' points that are not detected.
    """
    rng = np.random.default_rng(seed)
    times = np.arange(frames, dtype=float)
    frame, x, y, owner = [], [], [], []
    for number in range(objects):
        speed, angle = rng.uniform(*rate), rng.uniform(0, 2 * np.pi)
        vx, vy = speed * np.cos(angle), speed * np.sin(angle)
        reach = speed * frames / 2 + 10
        middle = (
            rng.uniform(min(reach, shape[1] / 2), max(shape[1] - reach, shape[1] / 2)),
            rng.uniform(min(reach, shape[0] / 2), max(shape[0] - reach, shape[0] / 2)),
        )
        seen = rng.uniform(size=frames) >= missing
        since = times[seen] - times.mean()
        frame.append(np.flatnonzero(seen))
        x.append(middle[0] + vx * since + rng.normal(0, error, seen.sum()))
        y.append(middle[1] + vy * since + rng.normal(0, error, seen.sum()))
        owner.append(np.full(seen.sum(), number))
    noise = distractors * frames
    frame.append(np.repeat(np.arange(frames), distractors))
    x.append(rng.uniform(0, shape[1], noise))
    y.append(rng.uniform(0, shape[0], noise))
    owner.append(np.full(noise, -1))
    columns = [np.concatenate(values) for values in (frame, x, y, owner)]
    order = rng.permutation(len(columns[0]))
    frame, x, y, owner = (values[order] for values in columns)
    points = Points(frame.astype(np.int64), x, y, np.full(len(x), max(error, 0.05)), np.full(len(x), 7.0))
    return points, times, owner
