"""Training samples of a router for box prompts: what it would have seen of a structure, kept on disk.

The frozen segmentor runs once for each volume and prompt, exactly as it does for a user, with a method that records
instead of deferring. A sample is a folder of arrays that are read in pieces (memory-mapped), so an epoch costs no
encoding at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ....core.atomic import clear_write_errors, sync_folder, temporary_beside, write_json
from ....core.zone import decision_zone
from ...deferral.base import FOREGROUND, ProbabilityOf, SliceEvidence, SliceScores, ViewRun, VolumeRun
from ...deferral.slice_stack import Place, SeenSlice, see_slice
from ...deferral.work_grid import WorkGrid
from ...maps import Maps
from ...progress import ProgressMeter
from ...prompted import Prompt, PromptedRun
from ...propagate import Propagation
from ...segmentor import Segmentor
from ...views import Display, IndexBox, choose_view
from ...windowing import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
"""Of what is recorded; samples of another version are made anew."""

_ARRAYS = ("features", "embedding", "known", "wrong", "zone")


@dataclass(frozen=True)
class Sample:
    """One structure of one volume with one prompt.

    folder : of the arrays features (F, D, h, w), embedding (E, D, h', w') and known (K, D, h, w) in float16,
    wrong (draw, J + 1, D, h, w) uint8, 255 where an agent is wrong, model last, and zone (D, h, w) bool.
    """

    folder: Path
    subject: str
    shape: tuple[int, int, int]
    draws: int

    def read(
        self, draw: int = 0, window: tuple[slice, slice, slice] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """features, embedding, known, right and zone, float32 (C, d, h, w), of a part with even in-plane ends."""
        slices, rows, columns = window or (slice(None),) * 3
        half_rows, half_columns = (slice(_half(s.start), _half(s.stop)) for s in (rows, columns))
        arrays = {name: np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
        wrong = arrays["wrong"][draw % self.draws, :, slices, rows, columns]
        return (
            _tensor(arrays["features"][:, slices, rows, columns]),
            _tensor(arrays["embedding"][:, slices, half_rows, half_columns]),
            _tensor(arrays["known"][:, slices, rows, columns]),
            1 - _tensor(wrong) / 255,
            _tensor(arrays["zone"][slices, rows, columns][None]),
        )


def _half(edge: int | None) -> int | None:
    return None if edge is None else edge // 2


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))


def sample_key(**description: Any) -> str:
    """Name of a sample's folder: a checksum of everything that it depends on."""
    text = json.dumps({**description, "version": VERSION}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def find_sample(cache: Path, key: str) -> Sample | None:
    """The sample of a key, if it is there; folders are renamed into place when they are whole."""
    folder = cache / key
    if not (folder / "sample.json").is_file():
        return None
    content = json.loads((folder / "sample.json").read_text(encoding="utf-8"))
    return Sample(folder, str(content["subject"]), tuple(content["shape"]), int(content["draws"]))


def write_sample(cache: Path, key: str, subject: str, arrays: Mapping[str, NDArray[Any]]) -> Sample:
    """Keep a sample; BadInputError if the disk is full."""
    building = temporary_beside(cache / key)
    wrong = arrays["wrong"]
    with clear_write_errors(cache / key):
        try:
            building.mkdir(parents=True)
            for name in _ARRAYS:
                np.save(building / f"{name}.npy", np.ascontiguousarray(arrays[name]))
            write_json(
                building / "sample.json",
                {"subject": subject, "shape": list(wrong.shape[2:]), "draws": len(wrong)},
            )
            if (cache / key).exists():
                shutil.rmtree(cache / key)
            os.rename(building, cache / key)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
    sync_folder(cache)
    found = find_sample(cache, key)
    assert found is not None
    return found


def record(
    segmentor: Segmentor,
    slices: NDArray[Any],
    display: Display,
    window: Window,
    box: IndexBox,
    how: Propagation,
    truth: NDArray[np.bool_],
    readers: Sequence[NDArray[np.bool_]],
    geometry: Any,
) -> dict[str, NDArray[Any]] | None:
    """The arrays of one sample; None if nothing was segmented.

    Parameters
    ----------
    slices : the volume as displayed. box : the prompt in display indices. how : propagation.
    truth : [k, j, i] of the structure, stored order. readers : one array (J, k, j, i) of their labels for each draw.
    """
    view = choose_view(display, box, "auto")
    place = Place(box, display.spacing, view)
    grid = place.grid()
    recorder = _Recorder(place, grid)
    maps = Maps(geometry.shape, 1, display)
    run = PromptedRun(segmentor, slices, window, recorder, how, maps, ProgressMeter(), display.spacing)
    run.run([Prompt(0, box, view)])
    if not recorder.seen:
        return None
    indices = sorted(recorder.seen)
    part = slice(indices[0], indices[-1] + 1)
    label = maps.probability[0] >= FOREGROUND
    zone = display.show(decision_zone(maps.probability, geometry).mask())[part]
    wrong = [[*(labels != truth for labels in draw), label != truth] for draw in readers]
    return {
        "features": _stacked(recorder, indices, "features"),
        "embedding": _stacked(recorder, indices, "embedding"),
        "known": _stacked(recorder, indices, "known"),
        "zone": grid.gather(zone).numpy() >= 0.5,
        "wrong": np.stack(
            [
                np.stack(
                    [(grid.gather(display.show(agent)[part]).numpy() * 255).round().astype(np.uint8) for agent in draw]
                )
                for draw in wrong
            ]
        ),
    }


def _stacked(recorder: _Recorder, indices: Sequence[int], name: str) -> NDArray[np.float16]:
    """Float16 (C, D, h, w); slices between seen ones that were not seen themselves repeat the one before."""
    slices: list[torch.Tensor] = []
    for index in range(indices[0], indices[-1] + 1):
        one = recorder.seen.get(index)
        slices.append(slices[-1] if one is None else getattr(one, name).half())
    return torch.stack(slices, dim=1).numpy()


class _Recorder:
    """A deferral method that keeps what it sees."""

    name = "record"
    wants_features = True
    extra_encodings = 0

    def __init__(self, place: Place, grid: WorkGrid) -> None:
        self.place = place
        self.grid = grid
        self.fit = "pad"
        self.seen: dict[int, SeenSlice] = {}

    def start(self, run: ViewRun) -> _Recorder:
        self.fit = getattr(run.segmentor, "fit", "pad")
        return self

    def see(self, evidence: SliceEvidence) -> None:
        with torch.inference_mode():
            seen = see_slice(evidence, self.place, self.grid, self.fit)
        halves = (part.cpu().half() for part in (seen.features, seen.embedding, seen.known))
        self.seen[evidence.index] = SeenSlice(*halves)

    def scores(self, probability: ProbabilityOf) -> Iterator[SliceScores]:
        return iter(())

    def score_volume(self, run: VolumeRun) -> Iterator[SliceScores]:
        return iter(())
