"""A segmentor that remembers encodings, so that several methods on one image encode every slice once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from .segmentor import Encoding, Prediction, Segmentor

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

MOST_BYTES = 2 * 1024**3
"""Encodings past this much memory are not remembered, but made again when they are needed."""


class RememberingSegmentor:
    """A segmentor that answers as the one inside does, and keeps its encodings by the content of the slices.

    Attributes the interface does not name (a decoder that a learned method reaches for) are those of the one inside.
    """

    def __init__(self, segmentor: Segmentor, most_bytes: int = MOST_BYTES) -> None:
        self.inside = segmentor
        self.name: str = segmentor.name
        self.device: torch.device = segmentor.device
        self.needs_box: bool = segmentor.needs_box
        self.whole_volume: bool = segmentor.whole_volume
        self.classes: tuple[str, ...] = segmentor.classes
        self._most_bytes = most_bytes
        self._kept: dict[bytes, Encoding] = {}
        self._bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["inside"], name)

    def encode(self, slices: NDArray[np.float32]) -> list[Encoding]:
        """Encodings of a stack (N, H, W); only slices that were not seen before go through the network."""
        if self.whole_volume:
            key = _content(slices)
            if key not in self._kept:
                return [self._keep(key, self.inside.encode(slices)[0])]
            return [self._kept[key]]
        keys = [_content(one) for one in slices]
        missing = {key: number for number, key in enumerate(keys) if key not in self._kept}
        fresh: dict[bytes, Encoding] = {}
        if missing:
            made = self.inside.encode(slices[list(missing.values())])
            fresh = {key: self._keep(key, one) for key, one in zip(missing, made, strict=True)}
        return [fresh[key] if key in fresh else self._kept[key] for key in keys]

    def decode(self, encoding: Encoding, boxes: NDArray[np.float32] | None, with_features: bool = False) -> Prediction:
        """As the segmentor inside."""
        return self.inside.decode(encoding, boxes, with_features)

    def forget(self) -> None:
        """Let go of all encodings; to be called between images."""
        self._kept.clear()
        self._bytes = 0

    def _keep(self, key: bytes, encoding: Encoding) -> Encoding:
        if self._bytes + encoding.nbytes <= self._most_bytes:
            self._kept[key] = encoding
            self._bytes += encoding.nbytes
        return encoding


def _content(array: NDArray[Any]) -> bytes:
    digest = hashlib.blake2b(str(array.shape).encode("ascii"), digest_size=16)
    digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
