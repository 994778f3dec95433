"""What a stack router sees: the slices of one structure, collected as the segmentation goes, on the work grid.

The same code records the training samples, so that a router is trained on what it will see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...core.errors import BadInputError
from ..heads.context import label_evidence
from ..heads.stack import KNOWN_CHANNELS
from ..views import IndexBox, SliceView
from .base import SliceEvidence
from .work_grid import WorkGrid, work_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

DISTANCE_MM = 20.0
"""Unit of the distances to box faces, which are limited to -1..1.5 of it."""


@dataclass(frozen=True)
class Place:
    """Where a structure is looked for: its prompt box and the grid around it.

    box : in display indices. spacing : mm between slices, rows and columns. view : the part of the slice encoded.
    """

    box: IndexBox
    spacing: tuple[float, float, float]
    view: SliceView

    def grid(self) -> WorkGrid:
        """The work grid."""
        return work_grid(self.box, self.spacing, self.view)


@dataclass(frozen=True)
class SeenSlice:
    """One slice on the work grid, float32: features (F, h, w), embedding (E, h', w'), known (K, h, w)."""

    features: torch.Tensor
    embedding: torch.Tensor
    known: torch.Tensor


def covered_share(evidence: SliceEvidence, fit: str) -> tuple[float, float]:
    """Share of the rows and columns of the network's canvas that the slice view fills."""
    if fit == "stretch" or evidence.encoding.image is None:
        return 1.0, 1.0
    height, width = evidence.encoding.shape
    network = evidence.encoding.image.shape[0]
    scale = network / max(height, width)
    return max(1, int(height * scale + 0.5)) / network, max(1, int(width * scale + 0.5)) / network


def see_slice(evidence: SliceEvidence, place: Place, grid: WorkGrid, fit: str) -> SeenSlice:
    """A structure's slice on its work grid.

    Parameters
    ----------
    evidence : with decoder features, logits and the network's input. fit : the segmentor's, "pad" or "stretch".

    Raises
    ------
    BadInputError : a segmentor that gives no decoder features.
    """
    prediction = evidence.prediction
    if prediction.features is None or prediction.low_res_logits is None or evidence.encoding.image is None:
        raise BadInputError("this segmentor gives no decoder features, so its deferral cannot be learned from them")
    if evidence.box is None:
        raise BadInputError("this router needs the box that the slice was prompted with")
    covered = covered_share(evidence, fit)
    logits = grid.sample(prediction.low_res_logits[:, None], place.view, covered)
    image = torch.from_numpy(np.ascontiguousarray(evidence.encoding.image, dtype=np.float32))[None, None]
    image = grid.sample(image, place.view, covered).to(logits.device)
    quality = 0.0 if prediction.iou is None else float(prediction.iou[0])
    known = torch.cat(
        [
            label_evidence(logits)[0],
            image[0],
            _place_channels(evidence, place, grid).to(logits.device),
            torch.full_like(logits[0], quality),
            torch.sigmoid(logits[0]),
        ]
    )
    assert len(known) == KNOWN_CHANNELS
    return SeenSlice(
        grid.sample(prediction.features, place.view, covered)[0],
        grid.sample(evidence.encoding.features, place.view, covered, grid.half)[0],
        known,
    )


def _place_channels(evidence: SliceEvidence, place: Place, grid: WorkGrid) -> torch.Tensor:
    """(6, h, w): |row|, |column| and |slice| from the box's centre in half sides; distances to faces, prompt, ends."""
    rows, columns = grid.centers()
    index = torch.tensor([float(evidence.index)], dtype=torch.float64)
    box, spacing = place.box, place.spacing
    centered, inside = [], []
    for axis, line in enumerate((index, rows, columns)):
        first, last = box.first[axis], box.stop[axis] - 1
        centered.append(((line - (first + last) / 2) / max((last - first) / 2, 0.5)).abs().clamp(max=1.5))
        inside.append(torch.minimum(line - first, last - line) * spacing[axis])
    x0, y0, x1, y1 = _to_display(evidence.box, place.view)
    prompted_rows = torch.minimum(rows - y0, y1 - rows) * spacing[1]
    prompted_columns = torch.minimum(columns - x0, x1 - columns) * spacing[2]
    shape = grid.size
    return torch.stack(
        [
            centered[1][:, None].expand(shape),
            centered[2][None, :].expand(shape),
            centered[0][:, None].expand(shape),
            _limited(torch.minimum(inside[1][:, None], inside[2][None, :])),
            _limited(torch.minimum(prompted_rows[:, None], prompted_columns[None, :])),
            _limited(inside[0][:, None].expand(shape)),
        ]
    ).float()


def _to_display(box: NDArray[np.float32] | None, view: SliceView) -> list[float]:
    """x0, y0, x1, y1 of a box in pixels of the view, in display indices (pixel centers at integers)."""
    assert box is not None
    (height, width), (high, wide) = view.size, view.grid
    scale = (wide / width, high / height) * 2
    offset = (view.columns[0], view.rows[0]) * 2
    return [(float(v) + 0.5) * s - 0.5 + o for v, s, o in zip(box, scale, offset, strict=True)]


def _limited(distance: torch.Tensor) -> torch.Tensor:
    return (distance / DISTANCE_MM).clamp(-1, 1.5)
