"""Tags and limits of the encoding, shared by `encode` and `decode`."""

from __future__ import annotations

import struct

import numpy as np

MAGIC = b"GZWIRE2\n"
HEAD = struct.Struct("<8sQ")
"""Magic and length of the tree."""
ALIGNMENT = 64
"""Of each array's memory, in bytes."""
DEPTH = 64
"""Levels of nesting."""
VALUES = 4_000_000
"""Nodes of a tree; an array is one."""
LEAST, MOST = -(2**63), 2**63 - 1
"""Integers that have a node of fixed size; others are as long as they need."""
ORDERS = {"C": b"C", "F": b"R"}
"""Tags of arrays by the order of their memory."""
ARROW_KINDS = {"Table": "table", "RecordBatch": "batch", "ChunkedArray": "chunked"}

Buffer = bytes | bytearray | memoryview


class Malformed(ValueError):
    """Bytes are not a value; the message is ours and holds nothing of them but counts."""


def is_key(key: object) -> bool:
    """Tell whether a value may be the key of a dict: text or an integer of 64 bits.

    Integers of any length could be chosen so that all hash alike, and a dict of them takes hours.
    """
    return type(key) in (str, np.str_) or isinstance(key, np.integer) or (type(key) is int and LEAST <= key <= MOST)
