"""Random numbers of a simulated reader: drawn once per image and reader, the same on every machine and in any order."""

from __future__ import annotations

import hashlib

import numpy as np

SPLITS = ("train", "validation", "test")
"""Readers of different splits never share random numbers."""


def reader_generator(image_id: str, reader: str, split: str, seed: int) -> np.random.Generator:
    """The generator of one reader for one image.

    Seeded with the first 16 bytes of SHA-256 over split, seed, reader and image id, so that neither the order of the
    images nor Python's salted hash matters, and test readers differ from training readers by themselves.

    Raises
    ------
    ValueError : a split that is not in `SPLITS`.
    """
    if split not in SPLITS:
        raise ValueError(f'split is "{split}", expected one of {", ".join(SPLITS)}')
    text = "\0".join((split, str(int(seed)), reader, image_id))
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
