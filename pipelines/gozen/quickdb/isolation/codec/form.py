"""Tags and limits of the encoding, shared by `encode` and `decode`."""

from __future__ import annotations

import struct

import numpy as np

MAGIC = b"GZWIRE2\n"
HEAD = struct.Struct("<8sQ")
"""Magic bytes, and the length of the tree in bytes."""
ALIGNMENT = 64
"""Alignment of each array's memory, in bytes."""
DEPTH = 64
"""Maximum number of levels of nesting."""
VALUES = 4_000_000
"""Maximum number of nodes of a tree; an array is one node."""
LEAST, MOST = -(2**63), 2**63 - 1
"""Range of integers with a node of fixed size; other integers have as many bytes as they need."""
ORDERS = {"C": b"C", "F": b"R"}
"""Tags of arrays, by their memory order."""
ARROW_KINDS = {"Table": "table", "RecordBatch": "batch", "ChunkedArray": "chunked"}

Buffer = bytes | bytearray | memoryview


class Malformed(ValueError):
    """The bytes are not a valid value. The message does not quote them, because their text may be hostile."""


def is_key(key: object) -> bool:
    """Tell whether a value may be the key of a dict: text, or an integer of at most 64 bits.

    Longer integers could be chosen so that all have the same hash; to build a dict of them would take hours.
    """
    return type(key) in (str, np.str_) or isinstance(key, np.integer) or (type(key) is int and LEAST <= key <= MOST)
