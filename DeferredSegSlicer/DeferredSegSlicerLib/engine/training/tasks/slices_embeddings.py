"""The frozen encoder's answers, kept on disk in half precision: an epoch then costs the mask decoder alone."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ....core.atomic import clear_write_errors, write_via
from ....core.errors import BadInputError
from ...devices import in_shrinking_batches
from ...slice_nets import SliceNet
from ...slice_router import three_channels
from ..task import Report
from .slices_store import KeptSlice

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
GIGABYTE = 10**9
BATCH = {"cuda": 8, "cpu": 1}
"""Slices that are encoded at once."""


class EmbeddingCache:
    """One float16 file a slice, named by a checksum of its pixels, of the weights and of the encoder's input size.

    Parameters
    ----------
    folder : made when it is needed; several trainings may share it. weights : sha256 of the segmentor's file.
    input_size : pixels of the encoder's input. gigabytes : most space that all files in the folder may take.
    """

    def __init__(self, folder: Path, weights: str, input_size: int, gigabytes: float) -> None:
        self.folder = folder
        self.gigabytes = gigabytes
        self._salt = f"{VERSION} {weights} {input_size}".encode()
        self._keys: dict[str, str] = {}

    def read(self, kept: KeptSlice) -> torch.Tensor:
        """The embedding (C, h, w) of a slice, float16."""
        return torch.from_numpy(np.load(self._path(self._key(kept))))

    def fill(self, slices: Sequence[KeptSlice], net: SliceNet, device: torch.device, report: Report) -> None:
        """Encode what is not there yet.

        Raises
        ------
        BadInputError : the files would take more than `gigabytes` or than the disk has; nothing was written then.
        """
        missing = []
        for done, kept in enumerate(slices):
            report("looking for embeddings", done, len(slices))
            if not self._path(self._key(kept)).is_file():
                missing.append(kept)
        if not missing:
            return
        first = _embed(missing[0].read().image[None], net, device)[0]
        self._check_space(len(missing), first.nbytes)
        with clear_write_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        group = 4 * BATCH.get(device.type, 1)
        for start in range(0, len(missing), group):
            report("encoding slices", start, len(missing))
            part = missing[start : start + group]
            images = np.stack([three_channels(torch.from_numpy(kept.read().image)[None])[0].numpy() for kept in part])
            found = in_shrinking_batches(
                lambda some: list(_embed(some, net, device)), images, BATCH.get(device.type, 1), device
            )
            for kept, embedding in zip(part, found, strict=True):
                self._write(self._path(self._key(kept)), embedding)
        report("encoding slices", len(missing), len(missing))

    def _check_space(self, count: int, size: int) -> None:
        there = sum(path.stat().st_size for path in self.folder.glob("*.npy")) if self.folder.is_dir() else 0
        needed = count * size
        told = f"embeddings of {count} slices take {needed / GIGABYTE:.1f} GB"
        if there + needed > self.gigabytes * GIGABYTE:
            raise BadInputError(
                f'{told}, "{self.folder}" holds {there / GIGABYTE:.1f} GB already and options.cache_gb allows '
                f"{self.gigabytes:g}; raise it, empty the folder, or compute them at every step with "
                f"options.embeddings: fresh"
            )
        place = self.folder.absolute()
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free
        if needed > free:
            raise BadInputError(
                f'{told}, but the disk of "{self.folder}" has only {free / GIGABYTE:.1f} GB free; give another '
                f"options.cache, or compute them at every step with options.embeddings: fresh"
            )

    def _key(self, kept: KeptSlice) -> str:
        if kept.id not in self._keys:
            image = kept.read().image
            digest = hashlib.sha256(self._salt + str(image.shape).encode())
            digest.update(np.ascontiguousarray(image).data)
            self._keys[kept.id] = digest.hexdigest()[:32]
        return self._keys[kept.id]

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npy"

    def _write(self, path: Path, embedding: NDArray[np.float16]) -> None:
        write_via(path, lambda file: np.save(file, embedding))


def _embed(images: NDArray[Any], net: SliceNet, device: torch.device) -> NDArray[np.float16]:
    """Embeddings (B, C, h, w) float16 of images (B, 1 or 3, S, S)."""
    pixels = three_channels(torch.from_numpy(images)).to(device)
    with torch.inference_mode(), torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
        embedded = net.embed(pixels)
    assert embedded is not None
    half = embedded.half().cpu()
    if not torch.isfinite(half).all():
        raise BadInputError("the encoder answered with values that are not finite; are these the right weights?")
    return half.numpy()
