"""Random streams that depend only on a seed and their purpose, not on the order or the process of the work."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *keys: int | str) -> np.random.Generator:
    """Return the random generator for a seed and for keys that describe its purpose.

    The same seed and keys give the same numbers in every process; different keys give independent streams.
    """
    text = "/".join(str(part) for part in (seed, *keys))
    entropy = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(entropy)))
