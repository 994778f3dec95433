"""A volume with a slanted blob, the same volume stored along other axes, and small segmentors that can be predicted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.core.experts import Competence, Expert
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.structures import Box, make_structures
from DeferredSegSlicerLib.core.volume import Volume
from DeferredSegSlicerLib.engine.segmentor import Encoding, Prediction


@dataclass
class BrightnessSegmentor:
    """Foreground is what is brighter than mid gray inside the box; `slope` makes it depend on the place as well.

    With slope 0 it is equivariant: a flipped or turned slice gives the flipped or turned answer, bit for bit.
    """

    slope: float = 0.0
    batch: int = 1
    needs_box: bool = True
    whole_volume: bool = False
    classes: tuple[str, ...] = ()
    name: str = "brightness"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seen: list[np.ndarray] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)

    def encode(self, slices: np.ndarray) -> list[Encoding]:
        assert slices.dtype == np.float32
        self.seen += list(slices.copy())
        if self.whole_volume:
            return [Encoding(torch.from_numpy(slices.copy())[None], slices.shape)]
        return [Encoding(torch.from_numpy(s.copy())[None, None], s.shape) for s in slices]

    def decode(self, encoding: Encoding, boxes: np.ndarray | None, with_features: bool = False) -> Prediction:
        if self.whole_volume:
            gray = encoding.features.float()[0]
            return Prediction(torch.stack([8 * (gray - 0.5), 8 * (0.3 - gray)])[: len(self.classes)])
        gray = encoding.features.float()[0, 0]
        height, width = gray.shape
        logits = 8 * (gray - 0.5)
        if self.slope:
            logits = logits + self.slope * torch.linspace(-1, 1, height)[:, None]
            logits = logits + 2 * self.slope * torch.linspace(-1, 1, width)[None]
        if boxes is None:
            return Prediction(torch.stack([logits, -logits])[: len(self.classes)])
        answers = []
        for x0, y0, x1, y1 in boxes:
            self.boxes.append(np.array([x0, y0, x1, y1]))
            rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
            inside = (rows >= y0 - 0.5) & (rows <= y1 + 0.5) & (columns >= x0 - 0.5) & (columns <= x1 + 0.5)
            answers.append(torch.where(inside, logits, torch.tensor(-20.0)))
        return Prediction(torch.stack(answers))


def stored_along(volume: Volume, order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Volume:
    """The same scan, with stored array axes k, j, i taken from the old axes `order`, then flipped."""
    old = volume.geometry
    image = volume.image.transpose(order)[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
    direction = np.asarray(old.direction_lps).reshape(3, 3)
    columns, corner = [], np.zeros(3)
    for axis in (2, 1, 0):  # i, j, k of the new grid
        index_axis = 2 - order[axis]
        sign = -1.0 if flips[axis] else 1.0
        columns.append(sign * direction[:, index_axis])
        corner[index_axis] = old.size[index_axis] - 1 if flips[axis] else 0
    spacing = tuple(old.spacing[2 - order[axis]] for axis in (2, 1, 0))
    size = tuple(old.size[2 - order[axis]] for axis in (2, 1, 0))
    origin = tuple((old.ijk_to_lps @ np.append(corner, 1.0))[:3])
    grid = Geometry(size, spacing, origin, tuple(np.stack(columns, axis=1).ravel()))
    return Volume(np.ascontiguousarray(image), grid, volume.modality)


def make_scan(
    size: tuple[int, int, int] = (40, 34, 12),
    spacing: tuple[float, float, float] = (1.0, 1.0, 3.0),
    direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1),
    modality: str = "CT",
) -> Volume:
    """HU-like int16 voxels: noise around -60, and a bright slanted ellipsoid around 90."""
    i, j, k = size
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in (k, j, i)), indexing="ij")
    inside = ((x - 0.15 - 0.2 * z) / 0.5) ** 2 + ((y + 0.1 + 0.2 * x) / 0.4) ** 2 + (z / 0.75) ** 2 < 1
    generator = np.random.default_rng(3)
    image = generator.normal(-60, 25, (k, j, i)) + 150 * inside + 20 * x + 10 * y
    return Volume(image.astype(np.int16), Geometry(size, spacing, (-17.0, 9.0, 30.0), direction), modality)


def box_around(volume: Volume, first: tuple[int, int, int], stop: tuple[int, int, int]) -> Box:
    """The RAS box around the voxels from `first` to before `stop` (i, j, k), for grids along the body's axes."""
    corners = volume.geometry.ras_of(np.array([np.array(first) - 0.2, np.array(stop) - 0.8]))
    return Box(tuple(corners.min(axis=0)), tuple(corners.max(axis=0)))


@pytest.fixture(name="BrightnessSegmentor")
def brightness_segmentor() -> type[BrightnessSegmentor]:
    return BrightnessSegmentor


@pytest.fixture
def a_scan() -> Callable[..., Volume]:
    return make_scan


@pytest.fixture
def stored_differently() -> Callable[..., Volume]:
    return stored_along


@pytest.fixture
def box_of() -> Callable[..., Box]:
    return box_around


@pytest.fixture
def an_axial_volume() -> Volume:
    return make_scan()


@pytest.fixture
def two_structures(an_axial_volume: Volume) -> list:
    return make_structures(
        [
            ("left blob", box_around(an_axial_volume, (6, 6, 1), (36, 26, 11))),
            ("Blob too", box_around(an_axial_volume, (12, 8, 2), (30, 24, 9))),
        ]
    )


@pytest.fixture
def three_experts() -> tuple[Expert, ...]:
    return tuple(
        Expert(name, name.title(), "reader", (0.1, 0.2, 0.3), Competence(*competence))
        for name, competence in (
            ("extent", (0.97, 0.9, 0.9)),
            ("normal", (0.88, 0.99, 0.9)),
            ("edge", (0.9, 0.9, 0.98)),
        )
    )
