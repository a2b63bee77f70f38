"""Random streams that depend only on their purpose, not on order or place of the work."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *keys: int | str) -> np.random.Generator:
    """Return the generator that belongs to a seed and to the keys that say what it is for.

    The same seed and keys give the same numbers in every process; different keys give independent streams.
    """
    text = "/".join(str(part) for part in (seed, *keys))
    entropy = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(entropy)))
