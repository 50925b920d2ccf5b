"""Named random streams: the same root seed and path always give the same numbers, another path gives others.

Streams are told apart by a hash of their name; 31-bit seeds of two of ten thousand names coincide with a chance of 2 %.
"""

from __future__ import annotations

import hashlib

import numpy as np


def seed_for(root_seed: int, *path: str | int) -> int:
    """A positive 31-bit seed for the stream named by `path`, e.g. ``seed_for(7, "train", 0, 2)``.

    31 bits because LAMMPS and DeePMD take no more; never 0. A number and the text of it name the same stream.
    """
    parts = (str(part).replace("\\", "\\\\").replace("/", "\\/") for part in (root_seed, *path))
    text = "/".join(parts)
    value = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    return value % (2**31 - 2) + 1


def stream(root_seed: int, *path: str | int) -> np.random.Generator:
    """A NumPy generator for the stream named by `path`."""
    return np.random.default_rng(seed_for(root_seed, *path))
