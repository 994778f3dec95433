"""Asks the network of a case again about a region, in other ways, with what it needs kept warm between regions."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.case import Case
from ...core.errors import BadInputError
from ...core.review.alternatives import LabelAlternative
from ...core.review.limits import limit_mask
from ..bundles import Bundle
from ..deferral.base import FOREGROUND, stored_probability
from ..devices import memory_errors_as_advice
from ..encodings import EncodingStore
from ..segmentor import Segmentor
from ..views import Display, SliceView
from ..windowing import Window
from .boxes import boxes_of_run, propagation_of, tight_box, view_of
from .masks import ManyAnswers
from .plausible import NEAR_MM, Answer, Question, choose

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIGHT_NAME = "re-prompt: tight box"


def mask_name(token: int) -> str:
    """How the labeling of another mask of the decoder is called."""
    return f"re-prompt: mask {token}"


PREFERENCE = (mask_name(3), TIGHT_NAME, mask_name(2), mask_name(1))
"""In which order the network's answers are offered.

On the sample CT and on five sarcoma scans mask 3 was nearer to the reference than the model in 17 of the 21 regions for
which it was offered, the tight box in 13 of 18, masks 2 and 1 (a part, and a part of a part) in none of 8. Nearer than
all labelings from the maps as well was mask 3 in 3 regions, the tight box in none: these are further proposals, not
better ones.
"""

MOST = 2
"""So many of them are looked at unless more are asked for."""

Step = Callable[[int, int], None]
"""Called after every slice with slices done and slices in all; it may raise to end the work."""


@dataclass(frozen=True, eq=False)
class Reprompted:
    """What came of it.

    Attributes
    ----------
    alternatives : the labelings that are worth a look, the first the most; perhaps none.
    refused : why each other answer was not, by its name.
    slices : how many were asked about.
    """

    alternatives: tuple[LabelAlternative, ...]
    refused: dict[str, str] = field(default_factory=dict)
    slices: int = 0


@dataclass(frozen=True, eq=False)
class _Asked:
    """A structure of the case: its number from 0, its view, its boxes by slice, and its encodings."""

    number: int
    view: SliceView
    boxes: dict[int, NDArray[np.float32]]
    store: EncodingStore


class Reprompter:
    """A case and its network, ready for questions; a context manager, which holds encodings in memory.

    The slices that a region touches are encoded as they were when the case was made, each once for all regions, and
    decoded with the box that they had then (for the decoder's other masks) and with a box around the label near the
    region. The same question always gets the same answer.

    Raises
    ------
    BadInputError : the network takes no boxes, or the case does not say how it was made.
    DamagedCaseError : a file of the case was changed.
    """

    def __init__(self, case: Case, segmentor: Segmentor) -> None:
        if not segmentor.needs_box:
            raise BadInputError(
                f'segmentor "{segmentor.name}" takes no box, so it cannot be asked again in another way'
            )
        self.case = case
        self._answers, self._segmentor = ManyAnswers(segmentor), segmentor
        self._display = Display.of(case.geometry)
        self._window = _window_of(case)
        self._propagation = propagation_of(case.settings)
        self._shown = self._display.show(case.volume().image)
        self._probability, self._label = case.probability(), case.label()
        self._asked: dict[str, _Asked] = {}
        self._stores: dict[SliceView, EncodingStore] = {}
        self._open = ExitStack()

    def __enter__(self) -> Reprompter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the encodings."""
        self._asked.clear()
        self._stores.clear()
        self._open.close()

    @property
    def encoded(self) -> int:
        """Slices that went through the encoder so far."""
        return sum(store.encoded for store in self._stores.values())

    def ask(
        self,
        structure: str,
        indices: NDArray[Any],
        margin_mm: float = 0.0,
        most: int = MOST,
        step: Step | None = None,
    ) -> Reprompted:
        """Other labelings of a region.

        Parameters
        ----------
        structure : id. indices : (n,) ascending flat indices of the region's voxels into [k, j, i].
        margin_mm : how far around the region, along every index axis, a labeling may change something.
        most : so many answers of the network are looked at, in the order of `PREFERENCE`.

        Raises
        ------
        BadInputError : no such structure, one without a box, voxels outside the volume, or a margin out of range.
        DeviceError : the device ran out of memory.
        """
        region = _checked(indices, self.case)
        if not 0 <= margin_mm <= NEAR_MM:
            raise BadInputError(f"margin is {margin_mm:g} mm, expected 0 to {NEAR_MM:g}")
        asked = self._asked_of(structure)
        part, question = self._question(asked, region, margin_mm)
        answers, slices = self._ask(asked, part, question, PREFERENCE[:most], step)
        found, refused = choose(question, answers, _flat_indices(part, self.case.geometry.shape))
        return Reprompted(found, refused, slices)

    def _asked_of(self, structure: str) -> _Asked:
        if structure in self._asked:
            return self._asked[structure]
        number = next((n for n, s in enumerate(self.case.structures) if s.id == structure), None)
        if number is None:
            known = ", ".join(s.id for s in self.case.structures)
            raise BadInputError(f'structure "{structure}" is not in the case; it has {known}')
        wanted = self.case.structures[number]
        if wanted.box is None:
            raise BadInputError(f'structure "{wanted.name}" has no box, so the network cannot be asked about it again')
        box = self._display.box_of(*wanted.box.index_range(self.case.geometry))
        view = view_of(self.case.settings, structure, self._display, box)
        boxes = boxes_of_run(self._display.show(self._probability[number]), box, view, self._propagation)
        if view not in self._stores:
            store = EncodingStore(self._segmentor, partial(self._gray, view), with_images=False)
            self._stores[view] = self._open.enter_context(store)
        self._asked[structure] = _Asked(number, view, boxes, self._stores[view])
        return self._asked[structure]

    def _gray(self, view: SliceView, index: int) -> NDArray[np.float32]:
        return view.resampled(self._window.apply(self._shown[index][view.window]))

    def _question(
        self, asked: _Asked, region: NDArray[np.int64], margin_mm: float
    ) -> tuple[tuple[slice, slice, slice], Question]:
        """The part of the volume around a region, and what is to be answered there."""
        geometry = self.case.geometry
        part, near = limit_mask(region, geometry, NEAR_MM)
        inner, margin = limit_mask(region, geometry, margin_mm)
        allowed = np.zeros_like(near)
        allowed[tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, part, strict=True))] = margin
        kji = np.unravel_index(region, geometry.shape)
        inside = np.zeros_like(near)
        inside[tuple(c - b.start for c, b in zip(kji, part, strict=True))] = True
        others = self._probability[:, part[0], part[1], part[2]].copy()
        others[asked.number] = 0
        return part, Question(inside, allowed, near, self._label[part], asked.number + 1, others)

    def _ask(
        self,
        asked: _Asked,
        part: tuple[slice, slice, slice],
        question: Question,
        names: tuple[str, ...],
        step: Step | None,
    ) -> tuple[list[Answer], int]:
        """The network's answers of these names on the slices that the region touches, and how many slices that are."""
        stored = question.label == question.number
        answers = [Answer(name, stored.copy(), np.zeros_like(stored)) for name in names]
        (k0, k1), (j0, j1), (i0, i1) = ((p.start, p.stop) for p in part)
        box = self._display.box_of((i0, j0, k0), (i1, j1, k1))
        place = slice(box.first[1], box.stop[1]), slice(box.first[2], box.stop[2])
        whole, near = self._display.show(self._label), self._display.show(question.near)
        touched = np.flatnonzero(self._display.show(question.region).any(axis=(1, 2))) + box.first[0]
        wanted = [index for index in touched.tolist() if index in asked.boxes]
        for done, index in enumerate(wanted, 1):
            here = index - box.first[0]
            label = whole[index] == question.number
            around = np.zeros_like(label)
            around[place] = near[here]
            tight = tight_box(label, around) if TIGHT_NAME in names else None
            masks = self._masks(asked, index, wanted[done:], tight)
            for answer in answers:
                if answer.name in masks:
                    known, mask = np.zeros_like(label), label.copy()
                    known[asked.view.window], mask[asked.view.window] = True, masks[answer.name]
                    self._display.show(answer.mask)[here] = mask[place]
                    self._display.show(answer.known)[here] = known[place]
            if step is not None:
                step(done, len(wanted))
        return [answer for answer in answers if answer.known.any()], len(wanted)

    def _masks(
        self, asked: _Asked, index: int, soon: list[int], tight: NDArray[np.float32] | None
    ) -> dict[str, NDArray[np.bool_]]:
        """Masks (h, w) of the view by name."""
        encoding = asked.store.get(index, soon)
        boxes = [asked.boxes[index]] if tight is None else [asked.boxes[index], tight]
        with memory_errors_as_advice(self._segmentor.device, "decoding a slice"):
            logits = self._answers.logits(encoding, np.stack([asked.view.to_view(box) for box in boxes]))
            stored = [stored_probability(one, asked.view) >= FOREGROUND for one in logits]
        found = {mask_name(token): stored[0][token] for token in range(1, self._answers.tokens)}
        return found if tight is None else {**found, TIGHT_NAME: stored[1][0]}


def check_bundle(case: Case, bundle: Bundle) -> None:
    """Raise BadInputError unless it is the very network that the case was made with."""
    if case.model.get("sha256") != bundle.sha256:
        raise BadInputError(
            f'case "{case.folder}" was segmented by another network than bundle "{bundle.id}": '
            f'"{case.model.get("id", "unknown")}"'
        )


def _window_of(case: Case) -> Window:
    stored = case.settings.get("window")
    try:
        level, width = float(stored["level"]), float(stored["width"])  # type: ignore[index]
    except (KeyError, TypeError, ValueError) as error:
        raise BadInputError(f'case "{case.folder}" does not say with which gray window it was segmented') from error
    return Window.of_level(level, width)


def _checked(indices: NDArray[Any], case: Case) -> NDArray[np.int64]:
    region = np.asarray(indices, dtype=np.int64)
    if not len(region) or region[0] < 0 or region[-1] >= case.geometry.voxel_count or np.any(np.diff(region) < 1):
        raise BadInputError("the region has no voxels, or voxels that are not ascending flat indices of the volume")
    return region


def _flat_indices(part: tuple[slice, slice, slice], shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """Flat index of every voxel of a part of the volume, in the part's shape."""
    k, j, i = (np.arange(p.start, p.stop) for p in part)
    stride = (math.prod(shape[1:]), shape[2])
    flat: NDArray[np.int64] = k[:, None, None] * stride[0] + j[:, None] * stride[1] + i
    return flat
