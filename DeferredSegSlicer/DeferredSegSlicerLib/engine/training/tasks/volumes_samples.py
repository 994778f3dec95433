"""Volumes as a 3D network sees them, prepared once and kept on disk, and MONAI's pipeline of random changes on them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data import CacheDataset
from monai.data.meta_tensor import MetaTensor
from monai.transforms import (
    Compose,
    DivisiblePadd,
    MapTransform,
    RandAdjustContrastd,
    RandCropByPosNegLabeld,
    RandGaussianNoised,
    RandomizableTransform,
    RandScaleIntensityd,
    RandShiftIntensityd,
)
from monai.transforms.croppad.batch import PadListDataCollate
from torch.nn import functional

from ....core.atomic import write_bytes
from ....core.errors import BadInputError
from ...datasets import LoadedCase, Subject
from ...simulation import simulate_readers
from ...views import Display, SliceView, whole_slice
from ...windowing import choose_window
from ..config import TrainingConfig
from ..task import Report
from .volumes_options import VolumeNetwork, VolumeOptions, chosen_readers

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
"""Of how volumes are prepared; those of another version are prepared anew."""

KEYS = ("image", "truth", "experts", "inside")


@dataclass(frozen=True)
class PreparedVolume:
    """A volume on disk: image, truth and experts' labels, shown as the pipeline shows a volume to a network.

    spacing : mm between slices, rows and columns of the stack. left_right : the axis of the stack (0, 1, 2) that runs
    from one side of the patient to the other.
    """

    id: str
    file: Path
    spacing: tuple[float, float, float]
    left_right: int

    def read(self) -> dict[str, NDArray[Any]]:
        """image float16 (1, D, H, W) in 0..1, truth uint8 (1, D, H, W), experts uint8 (J, D, H, W)."""
        with np.load(self.file) as stored:
            return {name: stored[name] for name in ("image", "truth", "experts")}


@dataclass(frozen=True)
class PreparedSets:
    """training, validation : volumes. subjects : that they are from. classes, experts : their names."""

    training: tuple[PreparedVolume, ...]
    validation: tuple[PreparedVolume, ...]
    subjects: tuple[Subject, ...]
    classes: tuple[str, ...]
    experts: tuple[str, ...]


def prepare_volumes(
    config: TrainingConfig, options: VolumeOptions, windows: Mapping[str, Any], cache: Path, report: Report
) -> PreparedSets:
    """Prepare what is not in the cache yet; the test split is never opened.

    A volume is found again by data set, folder and id: after changing the data, empty the cache.

    Raises
    ------
    BadInputError : single slices instead of volumes, data sets of different classes, a split without a volume, or not
        as many readings as experts.
    """
    sets = [(data, data.open(options.split_seed)) for data in config.data]
    if planar := [found.kind for _, found in sets if found.planar]:
        raise BadInputError(f'data of kind "{planar[0]}" are single slices; use task "slices" for them')
    classes = sets[0][1].classes
    if other := [found for _, found in sets if found.classes != classes]:
        raise BadInputError(
            f'data sets have different classes: "{sets[0][1].kind}" {", ".join(classes)}, '
            f'"{other[0].kind}" {", ".join(other[0].classes)}; one network needs the same ones'
        )
    work = [
        (data, subject)
        for data, found in sets
        for subject in found.subjects()
        if subject.split in ("train", "validation") and (data.modalities is None or subject.modality in data.modalities)
    ]
    made: dict[str, list[PreparedVolume]] = {"train": [], "validation": []}
    names: tuple[str, ...] = ()
    for done, (data, subject) in enumerate(work):
        report("preparing volumes", done, len(work))
        window = windows.get(subject.modality)
        key = _key(config, options, data.kind, str(data.folder.resolve()), subject.id, subject.split, window)
        file = cache / f"{key}.npz"
        if not file.is_file():
            cache.mkdir(parents=True, exist_ok=True)
            write_bytes(file, _prepared(config, options, subject, window))
        with np.load(file) as stored:
            names = tuple(str(name) for name in stored["names"])
            spacing = (float(stored["spacing"][0]), float(stored["spacing"][1]), float(stored["spacing"][2]))
            side = int(stored["left_right"])
        made[subject.split].append(PreparedVolume(f"{data.kind}/{subject.id}", file, spacing, side))
    report("preparing volumes", len(work), len(work))
    for split, volumes in made.items():
        if not volumes:
            raise BadInputError(f"the data has no volume in split {split}; nothing can be trained")
    return PreparedSets(
        tuple(made["train"]), tuple(made["validation"]), tuple(subject for _, subject in work), classes, names
    )


def _key(config: TrainingConfig, options: VolumeOptions, *parts: Any) -> str:
    experts = [config.experts.model_dump(), options.readers] if options.route else None
    text = json.dumps([VERSION, experts, config.seed if options.route else None, *parts], sort_keys=True, default=dict)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _prepared(config: TrainingConfig, options: VolumeOptions, subject: Subject, window: Any) -> bytes:
    """One volume as the content of an .npz file."""
    case = subject.load()
    if not isinstance(case, LoadedCase):
        raise BadInputError(f'image "{subject.id}" is no volume')
    names, experts = experts_of(config, options, subject, case)
    shown = show_case(case, window, experts)
    memory = io.BytesIO()
    np.savez(memory, names=np.array(names, dtype=str), **shown)  # type: ignore[arg-type]
    return memory.getvalue()


def show_case(case: LoadedCase, window: Any, experts: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """A case as the pipeline shows it to a 3D network: turned, windowed, with square pixels; and what goes with it.

    experts : (J, k, j, i) labels. Returns image float16 (1, D, H, W), truth (1, D, H, W), experts (J, D, H, W),
    spacing in mm (3,) and left_right, the stack's axis from side to side.
    """
    geometry = case.volume.geometry
    display = Display.of(geometry)
    view = whole_slice(display)
    slices = display.show(case.volume.image)
    gray = choose_window(slices, case.volume.modality, None, window)
    image = np.stack([view.resampled(gray.apply(one)) for one in slices])
    steps = tuple(n / s for n, s in zip(view.grid, view.size, strict=True))
    spacing = (display.spacing[0], display.spacing[1] * steps[0], display.spacing[2] * steps[1])
    side = display.axes.index(2 - geometry.anatomical_axes.index(0))
    return {
        "image": image[None].astype(np.float16),
        "truth": _labels_in(view, display.show(case.truth)[None]),
        "experts": _labels_in(view, display.show(experts)),
        "spacing": np.array(spacing, dtype=np.float64),
        "left_right": np.array(side),
    }


def experts_of(
    config: TrainingConfig, options: VolumeOptions, subject: Subject, case: LoadedCase
) -> tuple[tuple[str, ...], NDArray[np.uint8]]:
    """Names and labels (J, k, j, i) of the experts, simulated or read; none where nothing is routed."""
    if not options.route:
        return (), np.zeros((0, *case.truth.shape), dtype=np.uint8)
    readers = chosen_readers(config, options)
    if readers:
        spacing = case.volume.geometry.spacing[::-1]
        labels = simulate_readers(case.truth, spacing, readers, subject.id, subject.split, config.seed)
        return tuple(reader.name for reader in readers), labels
    count = config.experts.count
    if len(case.readings) < count:
        raise BadInputError(f'experts.count is {count}, but "{subject.id}" has {len(case.readings)} readings')
    return tuple(f"reader-{n + 1}" for n in range(count)), np.stack([r.labels for r in case.readings[:count]])


def _labels_in(view: SliceView, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels (J, D, h, w) of the display grid in the slice view (J, D, H, W): the nearest."""
    if view.size == view.grid or not labels.size:
        return np.ascontiguousarray(labels)
    moved = functional.interpolate(torch.from_numpy(np.ascontiguousarray(labels)), size=view.size, mode="nearest-exact")
    return moved.numpy()


class ReadVolume(MapTransform):
    """Read a `PreparedVolume`; the part of the pipeline that is kept in memory."""

    def __init__(self) -> None:
        super().__init__(KEYS, allow_missing_keys=True)

    def __call__(self, data: PreparedVolume) -> dict[str, Any]:  # type: ignore[override]
        return {**data.read(), "left_right": data.left_right, "spacing": data.spacing}


class Spread(MapTransform):
    """Half to single precision, and a mask of ones, which later padding will surround with zeros."""

    def __init__(self) -> None:
        super().__init__(KEYS, allow_missing_keys=True)

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        image = torch.from_numpy(data["image"]).float()
        named = {name: torch.from_numpy(data[name]) for name in ("truth", "experts")}
        return {**data, **named, "image": image, "inside": torch.ones_like(named["truth"])}


class Mirror(RandomizableTransform, MapTransform):
    """Exchange left and right with a probability."""

    def __init__(self, probability: float) -> None:
        MapTransform.__init__(self, KEYS, allow_missing_keys=True)
        RandomizableTransform.__init__(self, probability)

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        self.randomize(None)
        if not self._do_transform:
            return data
        axis = data["left_right"] - 3
        return {**data, **{name: torch.flip(data[name], [axis]) for name in KEYS}}


class TrainingVolumes:
    """The training volumes with random changes, for `VolumesTask.loss`.

    Everything random is drawn from torch's generator when a batch is asked for, so that it does not depend on what was
    asked before.
    """

    def __init__(self, volumes: Sequence[PreparedVolume], network: VolumeNetwork, options: VolumeOptions) -> None:
        change = options.augmentation
        assert network.roi is not None
        steps: list[Any] = [ReadVolume(), Spread()]
        crop = RandCropByPosNegLabeld(
            KEYS, "truth", network.roi, pos=options.positive, neg=1 - options.positive, allow_smaller=True
        )
        self._random = Compose(
            [
                crop,
                Mirror(change.mirror),
                RandAdjustContrastd("image", prob=1.0 if change.gamma > 1 else 0.0, gamma=_around_one(change.gamma)),
                RandScaleIntensityd("image", factors=change.scale, prob=1.0 if change.scale else 0.0),
                RandShiftIntensityd("image", offsets=change.shift, prob=1.0 if change.shift else 0.0),
                RandGaussianNoised("image", prob=1.0 if change.noise else 0.0, std=change.noise),
                DivisiblePadd(KEYS, network.divisor),
            ]
        )
        self._kept = CacheDataset(
            list(volumes), Compose(steps), cache_rate=options.cache_rate, num_workers=0, progress=False
        )
        self._collate = PadListDataCollate()

    def batch(self, numbers: Sequence[int]) -> dict[str, Any]:
        """image float32 (B, 1, D, H, W), truth and inside uint8 (B, 1, ...), experts (B, J, ...), spacing in mm."""
        seed = int(torch.randint(0, 2**31 - 1, ()).item())
        self._random.set_random_state(seed=seed)
        drawn = [one for number in numbers for one in self._random(dict(self._kept[number]))]  # type: ignore[union-attr]
        batch = self._collate([{name: one[name] for name in KEYS} for one in drawn])
        plain = {name: part.as_tensor() if isinstance(part, MetaTensor) else part for name, part in batch.items()}
        return {**plain, "spacing": self._kept[numbers[0]]["spacing"]}


def _around_one(largest: float) -> tuple[float, float]:
    return (1 / largest, largest) if largest > 1 else (1.0, 1.001)
