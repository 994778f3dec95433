"""Test-time augmentation: defer where the network disagrees with itself on flipped and rotated slices.

Maganti 2026 (arXiv 2604.13262), section 4.1: six exact transforms (identity, both flips, rotations by 90, 180 and 270
degrees), mapped back and averaged. u is their variance (1/6, not 1/5), at most 1/4; c = 2 |mean - 0.5| is the
confidence. Two scores come of it: d = u / (1/4), and d = u (1 - c) / (1/4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .base import FOREGROUND, ProbabilityOf, SliceEvidence, SliceScores, ViewRun, VolumeRun, stored_probability

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Transform:
    """An exact transform of slices (..., H, W): a flip of columns, then `quarters` counterclockwise quarter turns."""

    name: str
    mirrored: bool = False
    quarters: int = 0

    def apply(self, slices: NDArray[Any]) -> NDArray[Any]:
        """Transform arrays (..., H, W); odd quarters swap H and W."""
        flipped = slices[..., ::-1] if self.mirrored else slices
        return np.ascontiguousarray(np.rot90(flipped, self.quarters, axes=(-2, -1)))

    def undo(self, maps: torch.Tensor) -> torch.Tensor:
        """Map tensors of transformed slices back, exactly."""
        turned = torch.rot90(maps, -self.quarters, dims=(-2, -1))
        return torch.flip(turned, dims=(-1,)) if self.mirrored else turned

    def move_box(self, box: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
        """Boxes (..., 4) x0, y0, x1, y1 (pixel centers at integers) of a slice (H, W), in the transformed slice."""
        height, width = shape
        x0, y0, x1, y1 = np.moveaxis(np.asarray(box, dtype=np.float32), -1, 0)
        if self.mirrored:
            x0, x1 = width - 1 - x1, width - 1 - x0
        for _ in range(self.quarters % 4):
            x0, y0, x1, y1 = y0, width - 1 - x1, y1, width - 1 - x0
            height, width = width, height
        return np.stack([x0, y0, x1, y1], axis=-1).astype(np.float32)


TRANSFORMS = (
    Transform("identity"),
    Transform("flip columns", mirrored=True),
    Transform("flip rows", mirrored=True, quarters=2),
    Transform("rotate 90", quarters=1),
    Transform("rotate 180", quarters=2),
    Transform("rotate 270", quarters=3),
)
"""Identity first: its probability is the segmentation's own and is not computed again."""


class TestTimeAugmentation:
    """Variance over six transforms ("tta"), or that times one minus the confidence ("tta-confidence")."""

    __test__ = False  # no test class, whatever its name looks like to pytest
    wants_features = False
    extra_encodings = len(TRANSFORMS) - 1

    def __init__(self, with_confidence: bool = False) -> None:
        self.with_confidence = with_confidence
        self.name = "tta-confidence" if with_confidence else "tta"

    def start(self, run: ViewRun) -> AugmentedPass:
        """Begin with a slice view."""
        return AugmentedPass(run, self.with_confidence)

    def score_volume(self, run: VolumeRun) -> Iterator[SliceScores]:
        """Run the net on every transform of the stack, in plane; keeps seven bytes a voxel and class meanwhile."""
        moments = Moments(run.probability)
        for transform in TRANSFORMS[1:]:
            encoding = run.segmentor.encode(transform.apply(run.stack))[0]
            logits = transform.undo(run.segmentor.decode(encoding, None).logits)
            for structure, volume in enumerate(logits):
                moments.add(stored_probability(volume, run.view), structure)
            run.step()
        for structure in range(len(run.probability)):
            for index, stored in enumerate(run.probability[structure]):
                defer, error = moments.scores(stored, self.with_confidence, (structure, index))
                yield SliceScores(structure, index, defer, error)


class AugmentedPass:
    """Notes the box of every structure and slice; then encodes each transformed slice once for all structures."""

    def __init__(self, run: ViewRun, with_confidence: bool) -> None:
        self._run = run
        self._with_confidence = with_confidence
        self._boxes: dict[int, dict[int, NDArray[np.float32] | None]] = {}

    def see(self, evidence: SliceEvidence) -> None:
        """Remember the box that was used."""
        self._boxes.setdefault(evidence.index, {})[evidence.structure] = evidence.box

    def scores(self, probability: ProbabilityOf) -> Iterator[SliceScores]:
        """Slice by slice: decode every transform with the transformed boxes, map back, compare."""
        run = self._run
        for index in sorted(self._boxes):
            structures = list(self._boxes[index])
            given = [box for box in self._boxes[index].values() if box is not None]
            boxes = np.stack(given) if given else None
            stored = np.stack([probability(structure, index) for structure in structures])
            moments = Moments(stored)
            image = run.gray(index)
            for upright in (True, False):  # a quarter turn swaps height and width: two batches
                group = [t for t in TRANSFORMS[1:] if (t.quarters % 2 == 0) == upright]
                encodings = run.segmentor.encode(np.stack([transform.apply(image) for transform in group]))
                for transform, encoding in zip(group, encodings, strict=True):
                    moved = None if boxes is None else transform.move_box(boxes, (image.shape[0], image.shape[1]))
                    logits = transform.undo(run.segmentor.decode(encoding.halved(), moved).logits)
                    moments.add(stored_probability(logits, run.view))
            run.step()
            for row, structure in enumerate(structures):
                defer, error = moments.scores(stored[row], self._with_confidence, (row,))
                yield SliceScores(structure, index, defer, error)


class Moments:
    """Sum and sum of squares of stored probabilities over the transforms: whole numbers, hence exact."""

    def __init__(self, stored: NDArray[np.uint8]) -> None:
        self.count = 1
        self.sum = stored.astype(np.uint16)
        self.squares = np.square(stored, dtype=np.uint32)

    def add(self, stored: NDArray[np.uint8], part: int | None = None) -> None:
        """Add a transform; with `part`, to that index of the first axis, the transform counting with the first."""
        where = slice(None) if part is None else part
        self.sum[where] += stored
        self.squares[where] += np.square(stored, dtype=np.uint32)
        self.count += not part

    def scores(
        self, base: NDArray[np.uint8], with_confidence: bool, at: tuple[int, ...]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Deferral score and error probability (bytes) of the part `at`, for the segmentation's own probability."""
        total = self.sum[at].astype(np.float32)
        mean = total / np.float32(self.count * 255)
        # n * sum of squares - square of sum stays below 2^24, so that float32 holds it exactly and 0 stays 0
        spread = self.count * self.squares[at].astype(np.int64) - np.square(self.sum[at], dtype=np.int64)
        score = spread.astype(np.float32) / np.float32((self.count * 255) ** 2 / 4)
        if with_confidence:
            score *= 1 - np.abs(2 * mean - 1)
        error = np.abs((base >= FOREGROUND) - mean)
        return (np.rint(np.clip(score, 0, 1) * 255).astype(np.uint8), np.rint(error * 255).astype(np.uint8))
