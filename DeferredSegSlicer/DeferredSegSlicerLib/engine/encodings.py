"""Encodings of one slice view: made on demand, each slice once, kept in half precision within a bounded memory."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .segmentor import Encoding, Segmentor

if TYPE_CHECKING:
    from numpy.typing import NDArray

IN_MEMORY = 64
"""Encodings kept in memory, 128 MB for LiteMedSAM; more go to a temporary file that vanishes with the process."""

CPU_BATCH = 4
"""Slices encoded at once on the CPU at most: more would not be faster, and make progress and cancel sluggish."""


class EncodingStore:
    """The encodings of a slice view, by slice index; to be used as a context manager.

    segmentor : encodes slices one by one or, if it has a `batch` above 1, several at once.
    gray : gives the slice view (H, W) float32 in 0..1 of a slice index.
    in_memory : how many encodings stay in memory; the ones used longest ago are written to a temporary file, and
        encoded afresh when needed again if the disk has no room for them.
    with_images : whether the network's input is kept with each encoding.
    """

    def __init__(
        self,
        segmentor: Segmentor,
        gray: Callable[[int], NDArray[np.float32]],
        in_memory: int = IN_MEMORY,
        with_images: bool = True,
    ) -> None:
        self.encoded = 0
        self._with_images = with_images
        self._segmentor = segmentor
        self._gray = gray
        self._in_memory = in_memory
        self._kept: OrderedDict[int, Encoding] = OrderedDict()
        self._places: dict[int, tuple[int, Encoding]] = {}
        self._file: Any = None
        self._file_is_full = False
        self._end = 0

    def __enter__(self) -> EncodingStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.clear()
        self._places.clear()
        if self._file is not None:
            self._file.close()
            self._file = None

    def get(self, index: int, soon: Iterable[int] = ()) -> Encoding:
        """The encoding of a slice in float16.

        soon : slices that are likely to be asked for next, nearest first; they fill up a batch.
        """
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        encoding = self._read_back(index) if index in self._places else self._encode(index, soon)
        self._keep(index, encoding)
        return encoding

    def __contains__(self, index: int) -> bool:
        return index in self._kept or index in self._places

    def _encode(self, index: int, soon: Iterable[int]) -> Encoding:
        most = self._in_memory if self._segmentor.device.type == "cuda" else min(CPU_BATCH, self._in_memory)
        batch = max(1, min(int(getattr(self._segmentor, "batch", 1)), most))
        wanted = [index]
        for other in soon:
            if len(wanted) == batch:
                break
            if other not in self and other not in wanted:
                wanted.append(other)
        made = [self._kept_form(e) for e in self._segmentor.encode(np.stack([self._gray(n) for n in wanted]))]
        self.encoded += len(wanted)
        for other, encoding in zip(wanted[1:], made[1:], strict=True):
            self._keep(other, encoding)
        return made[0]

    def _kept_form(self, encoding: Encoding) -> Encoding:
        """In half precision and in main memory, so that results do not depend on what was spilled."""
        half = encoding.halved()
        return replace(half, features=half.features.cpu(), image=half.image if self._with_images else None)

    def _keep(self, index: int, encoding: Encoding) -> None:
        self._kept[index] = encoding
        self._kept.move_to_end(index)
        while len(self._kept) > self._in_memory:
            oldest, dropped = self._kept.popitem(last=False)
            if oldest not in self._places:
                self._write_out(oldest, dropped)

    def _write_out(self, index: int, encoding: Encoding) -> None:
        if self._file_is_full:
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="deferredseg-")  # noqa: SIM115 - closed by __exit__
            self._file.seek(self._end)
            self._file.write(encoding.features.contiguous().numpy().tobytes())
            if encoding.image is not None:
                self._file.write(np.ascontiguousarray(encoding.image, dtype=np.float32).tobytes())
            self._file.flush()
        except OSError:
            self._file_is_full = True  # it is a cache: what does not fit is encoded again when it is needed
            return
        empty = torch.empty(encoding.features.shape, dtype=encoding.features.dtype, device="meta")
        image = None if encoding.image is None else np.broadcast_to(np.float32(0), encoding.image.shape)
        self._places[index] = (self._end, replace(encoding, features=empty, image=image))
        self._end += encoding.nbytes

    def _read_back(self, index: int) -> Encoding:
        place, form = self._places[index]
        self._file.seek(place)
        features = torch.empty(form.features.shape, dtype=form.features.dtype)
        _fill(self._file, features.numpy())
        image = None
        if form.image is not None:
            image = np.empty(form.image.shape, dtype=np.float32)
            _fill(self._file, image)
        return replace(form, features=features, image=image)


def _fill(file: Any, array: NDArray[Any]) -> None:
    """Read exactly the bytes of a contiguous array."""
    flat = memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    read = 0
    while read < len(flat):
        count = file.readinto(flat[read:])
        if not count:
            raise OSError("the temporary file of encodings ended early")
        read += count
