"""Asking a case's network again about a region: the same boxes, other masks, and only what is plausible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.core.case import Case, open_case, write_case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.structures import Box, make_structures
from DeferredSegSlicerLib.core.volume import Volume, read_volume, sha256_of_voxels
from DeferredSegSlicerLib.engine.box_segmentor import BoxSegmentor
from DeferredSegSlicerLib.engine.bundles import load_bundle
from DeferredSegSlicerLib.engine.deferral import make_method
from DeferredSegSlicerLib.engine.litemedsam import load_litemedsam, make_litemedsam
from DeferredSegSlicerLib.engine.pipeline import SegmentOptions, segment_volume, segment_with
from DeferredSegSlicerLib.engine.propagate import Propagation
from DeferredSegSlicerLib.engine.reprompting import Reprompter, check_bundle
from DeferredSegSlicerLib.engine.reprompting.boxes import boxes_of_run, tight_box
from DeferredSegSlicerLib.engine.reprompting.masks import ManyAnswers
from DeferredSegSlicerLib.engine.sam_decoder import EMBEDDING, BoxDecoder, make_mask_decoder, make_prompt_encoder
from DeferredSegSlicerLib.engine.views import Display, choose_view
from DeferredSegSlicerLib.engine.weights import read_weights
from DeferredSegSlicerLib.render.scene import worklist_of
from DeferredSegSlicerLib.resources import find_resources
from torch import nn

MASK_3, TIGHT, MASK_2, MASK_1 = "re-prompt: mask 3", "re-prompt: tight box", "re-prompt: mask 2", "re-prompt: mask 1"
ALL = 4

CPU = torch.device("cpu")
GRID = Geometry((64, 64, 9), (1.0, 1.0, 3.0), (-32.0, -32.0, -12.0))
CORE = np.s_[2:7, 20:44, 20:36]
HALO = np.s_[2:7, 20:44, 36:40]
"""[k, j, i]: beside the core, of a middle gray: the network's masks differ about it."""

STORAGES = [
    ((0, 1, 2), (False, False, True)),  # left-handed
    ((0, 1, 2), (True, True, True)),
    ((2, 0, 1), (True, False, False)),
    ((1, 2, 0), (False, True, False)),
]


class GrayPrompts(nn.Module):
    """In the place of SAM's prompt encoder: passes the boxes on."""

    def get_dense_pe(self) -> torch.Tensor:
        return torch.zeros(1)

    def forward(self, points: None, boxes: torch.Tensor, masks: None) -> tuple[torch.Tensor, torch.Tensor]:
        return boxes, torch.zeros(1)


class GrayMasks(nn.Module):
    """In the place of SAM's mask decoder: four ways to take gray for the structure, within the box.

    Mask 0 wants more than 0.6, mask 3 more than 0.3, mask 2 what is more than the box's mean, mask 1 the opposite of 0.
    """

    num_mask_tokens = 4

    def predict_masks(
        self, embedding: torch.Tensor, position: torch.Tensor, boxes: torch.Tensor, dense: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        gray = embedding[0, 0]
        rows, columns = torch.arange(gray.shape[0])[:, None], torch.arange(gray.shape[1])[None]
        answers = []
        for (x0, y0), (x1, y1) in boxes:
            inside = (rows >= y0 - 0.5) & (rows <= y1 + 0.5) & (columns >= x0 - 0.5) & (columns <= x1 + 0.5)
            levels = [gray - 0.6, 0.6 - gray, gray - gray[inside].mean(), gray - 0.3]
            answers.append(torch.stack([torch.where(inside, 20 * level, torch.tensor(-20.0)) for level in levels]))
        return torch.stack(answers), torch.ones(len(answers), 4)


class GrayDecoder(BoxDecoder):
    """Its first mask."""

    def forward(self, embedding: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        masks, quality = self.mask_decoder.predict_masks(embedding, self.position, boxes, torch.zeros(1))
        return masks[:, 0], masks, quality[:, 0]


class CountingEncoder:
    """Passes the gray values on, and counts slices."""

    def __init__(self) -> None:
        self.slices = 0

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.slices += len(images)
        return images


def gray_segmentor() -> BoxSegmentor:
    """A box segmentor of these parts; slices of 64 x 64 pixels go through it unchanged."""
    decoder = GrayDecoder(GrayPrompts(), GrayMasks())
    return BoxSegmentor("gray", CountingEncoder(), decoder, 64, "pad", CPU)


def scan_of(gray: np.ndarray, grid: Geometry = GRID) -> Volume:
    """Gray values 0..1 as HU of the usual window; each slice has black and white in a corner."""
    gray = gray.copy()
    gray[:, 0, 0], gray[:, 0, 1] = 0, 1
    image = np.rint(-160 + 400 * gray).astype(np.int16)
    return Volume(image, grid, "CT", sha256_of_voxels(image), "")


def core_and_halo() -> np.ndarray:
    gray = np.full(GRID.shape, 0.1)
    gray[CORE], gray[HALO] = 0.9, 0.45
    return gray


def boxed(volume: Volume, *names_and_ranges: tuple[str, tuple, tuple]) -> list:
    """Structures with boxes around voxel ranges (i, j, k)."""
    corners = []
    for name, first, stop in names_and_ranges:
        points = volume.geometry.ras_of(np.array([np.array(first) - 0.2, np.array(stop) - 0.8]))
        corners.append((name, Box(tuple(points.min(axis=0)), tuple(points.max(axis=0)))))
    return make_structures(corners)


@pytest.fixture
def a_case_of(tmp_path: Path, three_experts: tuple) -> Callable[..., Case]:
    """A function that segments a volume and writes the case."""

    def make(volume: Volume, structures: list, segmentor: object = None, name: str = "case", **options: object) -> Case:
        method = make_method("margin")
        chosen = SegmentOptions(method="margin", **options)
        made = segment_with(segmentor or gray_segmentor(), method, volume, structures, three_experts, chosen)
        write_case(
            tmp_path / name, volume, made.structures, three_experts, made.probability, made.routing, made.error,
            "margin", made.settings, {"id": "gray", "sha256": "0" * 64, "name": "gray", "license": "none"},
            made.versions,
        )  # fmt: skip
        return open_case(tmp_path / name)

    return make


@pytest.fixture
def a_case(a_case_of: Callable[..., Case]) -> Case:
    """The core is labeled, the halo is not; the prompt box is around both, and reaches the next slice unchanged."""
    volume = scan_of(core_and_halo())
    case = a_case_of(volume, boxed(volume, ("blob", (16, 16, 1), (48, 48, 8))), propagation=Propagation(reach=80))
    core = np.zeros(GRID.shape, np.uint8)
    core[CORE] = 1
    assert np.array_equal(case.label(), core)
    return case


def flat(*where: object, grid: Geometry = GRID) -> np.ndarray:
    mask = np.zeros(grid.shape, bool)
    mask[where] = True
    return np.flatnonzero(mask)


def as_labels(case: Case, alternative: object) -> np.ndarray:
    """The model's labels with an alternative laid over them."""
    labels = case.label().copy()
    labels.reshape(-1)[alternative.after.indices] = alternative.after.labels
    return labels


def test_another_mask_of_the_decoder_becomes_a_labeling_of_the_region_alone(a_case: Case) -> None:
    region = flat(slice(3, 6), slice(22, 42), slice(34, 42))  # core, halo and what is dark
    with Reprompter(a_case, gray_segmentor()) as reprompter:
        found = reprompter.ask("blob", region)
    assert [a.name for a in found.alternatives] == [MASK_3] and found.slices == 3
    (taken,) = found.alternatives
    assert np.array_equal(taken.after.indices, region)
    expected = a_case.label().copy()
    expected[3:6, 22:42, 36:40] = 1  # the halo, as far as the region goes
    assert np.array_equal(as_labels(a_case, taken), expected)
    assert taken.changed == 3 * 20 * 4


def test_a_margin_lets_it_change_a_little_around_the_region_and_no_more(a_case: Case) -> None:
    region = flat(slice(3, 6), slice(22, 42), slice(34, 38))
    with Reprompter(a_case, gray_segmentor()) as reprompter:
        inside, around = (reprompter.ask("blob", region, margin_mm=mm).alternatives[0] for mm in (0.0, 1.0))
    assert set(np.argwhere(as_labels(a_case, inside) != a_case.label())[:, 2]) == {36, 37}
    changed = np.argwhere(as_labels(a_case, around) != a_case.label())
    assert set(changed[:, 2]) == {36, 37, 38} and set(changed[:, 1]) == set(range(21, 43))
    assert set(changed[:, 0]) == {3, 4, 5}, "3 mm to the next slice are more than the margin"
    assert around.changed == len(changed) and set(region) <= set(around.after.indices)


def test_a_mask_that_contradicts_the_model_around_the_region_is_not_offered(a_case: Case) -> None:
    region = flat(slice(3, 6), slice(22, 42), slice(34, 42))
    with Reprompter(a_case, gray_segmentor()) as reprompter:
        found = reprompter.ask("blob", region, most=ALL)
    assert MASK_1 not in [a.name for a in found.alternatives]
    assert "contradicts the model" in found.refused[MASK_1]


def test_no_more_is_asked_than_is_wanted(a_case: Case) -> None:
    region = flat(slice(3, 6), slice(22, 42), slice(34, 42))
    segmentor = gray_segmentor()
    asked = []
    plain = segmentor.decoder.mask_decoder.predict_masks
    segmentor.decoder.mask_decoder.predict_masks = lambda *given: (asked.append(len(given[2])), plain(*given))[1]
    with Reprompter(a_case, segmentor) as reprompter:
        one = reprompter.ask("blob", region, most=1)
        assert [a.name for a in one.alternatives] == [MASK_3] and one.refused == {} and asked == [1, 1, 1]
        reprompter.ask("blob", region, most=2)
        assert asked[3:] == [2, 2, 2], "two boxes a slice, in one go"


def test_what_is_offered_already_is_not_offered_again(a_case: Case) -> None:
    region = flat(slice(3, 6), slice(22, 42), slice(34, 42))
    with Reprompter(a_case, gray_segmentor()) as reprompter:
        found = reprompter.ask("blob", region, most=ALL)
    labelings = [as_labels(a_case, a).tobytes() for a in found.alternatives]
    assert len(set(labelings)) == len(labelings) and a_case.label().tobytes() not in labelings
    assert "changes nothing" in found.refused[TIGHT], "around the core the network says the same again"
    assert {*(a.name for a in found.alternatives), *found.refused} == {MASK_1, MASK_2, MASK_3, TIGHT}


@pytest.mark.parametrize(("voxels", "offered"), [(3, 0), (4, 1)])
def test_a_change_of_a_few_voxels_is_no_alternative(a_case_of: Callable[..., Case], voxels: int, offered: int) -> None:
    gray = core_and_halo()
    gray[HALO] = 0.1
    gray[4, 30 : 30 + voxels, 36] = 0.45
    volume = scan_of(gray)
    case = a_case_of(volume, boxed(volume, ("blob", (16, 16, 1), (48, 48, 8))), propagation=Propagation(reach=80))
    with Reprompter(case, gray_segmentor()) as reprompter:
        found = reprompter.ask("blob", flat(slice(3, 6), slice(25, 40), slice(34, 38)))
    assert [a.changed for a in found.alternatives] == [voxels] * offered
    assert offered or "changes nothing" in found.refused[MASK_3]


def test_nothing_plausible_is_an_honest_answer(a_case: Case) -> None:
    far = flat(4, slice(2, 6), slice(2, 6))
    beyond = flat(8, slice(20, 30), slice(20, 30))  # a slice that the model never looked at
    with Reprompter(a_case, gray_segmentor()) as reprompter:
        found = reprompter.ask("blob", far, most=ALL)
        assert found.alternatives == () and found.slices == 1 and len(found.refused) == 3
        nothing = reprompter.ask("blob", beyond)
    assert nothing.alternatives == () and nothing.refused == {} and nothing.slices == 0


def test_a_tighter_box_asks_about_the_piece_that_is_near(a_case_of: Callable[..., Case]) -> None:
    gray = np.full(GRID.shape, 0.1)
    gray[2:7, 20:40, 20:30] = 0.9
    gray[2:7, 20:40, 31:34] = 0.62  # labeled too; within a box around itself alone it is dark
    volume = scan_of(gray)
    case = a_case_of(volume, boxed(volume, ("blob", (16, 16, 1), (60, 48, 8))))
    label = case.label()[4] == 1
    near = np.zeros_like(label)
    near[22:30, 32:34] = True
    assert tight_box(label, near).tolist() == [31, 20, 33, 39]
    assert tight_box(label, np.zeros_like(near)) is None
    everything = np.ones_like(near)
    assert tight_box(label, everything).tolist() == [20, 20, 33, 39]


def test_no_voxel_is_taken_from_another_structure_and_what_is_dropped_goes_to_the_next_best(
    a_case_of: Callable[..., Case],
) -> None:
    volume = scan_of(core_and_halo())
    structures = boxed(volume, ("blob", (16, 16, 1), (48, 48, 8)), ("other", (37, 16, 1), (48, 48, 8)))
    case = a_case_of(volume, structures)
    probability, label = case.probability(), case.label()
    probability[1, 2:7, 20:44, 37:40] = 255  # the halo but for a column belongs to the other
    label = np.where((label == 0) & (probability[1] > 127), 2, label).astype(np.uint8)
    probability[0, 3:6, 22:42, 40:42] = 200  # the blob has two dark columns, too, and without it they are the other's
    probability[1, 3:6, 22:42, 40] = 140
    label[3:6, 22:42, 40:42] = 1
    reprompter = Reprompter(case, gray_segmentor())
    reprompter._probability, reprompter._label = probability, label
    region = flat(slice(3, 6), slice(22, 42), slice(32, 43))
    (taken,) = (a for a in reprompter.ask("blob", region).alternatives if a.name == MASK_3)
    after = label.copy()
    after.reshape(-1)[taken.after.indices] = taken.after.labels
    assert (after[3:6, 22:42, 36] == 1).all() and (after[3:6, 22:42, 37:40] == 2).all()
    assert (after[3:6, 22:42, 40] == 2).all() and (after[3:6, 22:42, 41] == 0).all()
    reprompter.close()


@pytest.mark.parametrize(("order", "flips"), STORAGES, ids=str)
def test_the_same_scan_stored_along_other_axes_gives_the_same_labelings(
    a_case_of: Callable[..., Case],
    stored_differently: Callable[..., Volume],
    order: tuple[int, int, int],
    flips: tuple[bool, bool, bool],
) -> None:
    volume = scan_of(core_and_halo())
    structures = boxed(volume, ("blob", (16, 16, 1), (48, 48, 8)))
    mask = np.zeros(GRID.shape, bool)
    mask[3:6, 22:35, 34:42] = True
    other = stored_differently(volume, order, flips)
    steps = tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)
    results = []
    for name, scan, region in (("one", volume, mask), ("two", other, mask.transpose(order)[steps])):
        case = a_case_of(scan, structures, name=name)
        with Reprompter(case, gray_segmentor()) as reprompter:
            found = reprompter.ask("blob", np.flatnonzero(region), margin_mm=2.0)
        assert found.alternatives
        results.append([as_labels(case, a) for a in found.alternatives])
    for plain, moved in zip(*results, strict=True):
        np.testing.assert_array_equal(moved, plain.transpose(order)[steps])


@pytest.mark.parametrize(("trust", "reach", "view"), [(1.0, 5.0, "slice"), (0.5, 2.0, "slice"), (1.0, 3.0, "crop")])
def test_the_boxes_of_the_run_are_found_again_from_the_maps_alone(
    BrightnessSegmentor: type,
    a_scan: Callable[..., Volume],
    box_of: Callable[..., Box],
    a_case_of: Callable[..., Case],
    trust: float,
    reach: float,
    view: str,
) -> None:
    volume = a_scan((70, 60, 12))
    first, stop = ((12, 10, 1), (62, 48, 11)) if view == "slice" else ((30, 22, 1), (50, 36, 11))
    structures = make_structures([("blob", box_of(volume, first, stop))])
    segmentor = BrightnessSegmentor()
    how = replace(SegmentOptions().propagation, trust=trust, reach=reach)
    case = a_case_of(volume, structures, segmentor, propagation=how, view=view)
    display = Display.of(volume.geometry)
    box = display.box_of(*structures[0].box.index_range(volume.geometry))
    chosen = choose_view(display, box, view)
    assert (chosen.rows[0] > 0 and chosen.columns[0] > 0) == (view == "crop")
    found = boxes_of_run(display.show(case.probability()[0]), box, chosen, how)
    asked = {tuple(chosen.to_view(rectangle).tolist()) for rectangle in found.values()}
    used = {tuple(b.tolist()) for b in segmentor.boxes}
    assert len(asked) > 2 and asked <= used
    assert len(found) >= len(segmentor.boxes) - 2, "at each end a slice may have been looked at twice"


def test_every_slice_is_encoded_once_for_all_regions_and_the_answer_is_always_the_same(a_case: Case) -> None:
    segmentor = gray_segmentor()
    with Reprompter(a_case, segmentor) as reprompter:
        first = reprompter.ask("blob", flat(slice(3, 6), slice(22, 30), slice(34, 42)))
        reprompter.ask("blob", flat(slice(4, 7), slice(30, 42), slice(34, 42)))
        again = reprompter.ask("blob", flat(slice(3, 6), slice(22, 30), slice(34, 42)))
        assert segmentor.encoder.slices == reprompter.encoded == 4
    with Reprompter(a_case, gray_segmentor()) as another:
        afresh = another.ask("blob", flat(slice(3, 6), slice(22, 30), slice(34, 42)))
    assert first.alternatives
    for other in (again, afresh):
        assert [(a.name, a.after) for a in other.alternatives] == [(a.name, a.after) for a in first.alternatives]


def test_the_work_can_be_ended_after_any_slice(a_case: Case) -> None:
    seen: list[tuple[int, int]] = []

    def step(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2:
            raise InterruptedError

    region = flat(slice(2, 7), slice(22, 42), slice(34, 42))
    with Reprompter(a_case, gray_segmentor()) as reprompter:
        with pytest.raises(InterruptedError):
            reprompter.ask("blob", region, step=step)
        assert seen == [(1, 5), (2, 5)]
        assert reprompter.ask("blob", region).alternatives, "and it can be asked again"


def test_a_region_beyond_the_view_stays_as_it_is_there(a_case_of: Callable[..., Case]) -> None:
    gray = core_and_halo()
    gray[HALO[0], HALO[1], 36:52] = 0.45
    volume = scan_of(gray)
    case = a_case_of(volume, boxed(volume, ("blob", (20, 24, 1), (38, 40, 8))), view="crop")
    rows, columns = (case.settings["views"]["blob"][axis] for axis in ("rows", "columns"))
    assert columns[1] < 52 and rows[0] > 0, "the view ends within the halo"
    region = flat(slice(3, 6), slice(26, 38), slice(34, 60))
    with Reprompter(case, gray_segmentor()) as reprompter:
        found = reprompter.ask("blob", region, most=ALL)
    for alternative in found.alternatives:
        changed = np.argwhere(as_labels(case, alternative) != case.label())
        assert changed[:, 2].max() < 38  # the prompt box ends there, the view a little later


@pytest.mark.parametrize(
    ("structure", "indices", "margin", "words"),
    [
        ("lung", [5], 0.0, 'structure "lung" is not in the case; it has blob'),
        ("blob", [], 0.0, "no voxels"),
        ("blob", [5, 5], 0.0, "ascending"),
        ("blob", [-1, 5], 0.0, "ascending"),
        ("blob", [GRID.voxel_count], 0.0, "ascending"),
        ("blob", [5], -1.0, "margin"),
        ("blob", [5], 11.0, "expected 0 to 10"),
        ("blob", [5], float("nan"), "margin"),
    ],
)
def test_a_question_that_cannot_be_put_is_one_sentence(
    a_case: Case, structure: str, indices: list[int], margin: float, words: str
) -> None:
    with Reprompter(a_case, gray_segmentor()) as reprompter, pytest.raises(BadInputError, match=words):
        reprompter.ask(structure, np.array(indices, dtype=np.int64), margin)


def changed_settings(case: Case, **settings: object) -> Case:
    return Case(case.folder, replace(case.record, settings={**case.settings, **settings}))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"window": None}, "gray window"),
        ({"window": {"level": 40, "width": -1}}, "width"),
        ({"views": {"blob": {"rows": [0, 64], "columns": [0, 65], "size": [64, 64]}}}, "does not fit the volume"),
        ({"views": {"blob": {"rows": [0, 64], "columns": [0, 64], "size": [64, 10**9]}}}, "does not fit the volume"),
        ({"views": {"blob": {"rows": "all"}}}, "through which view"),
        ({"propagation": {"trust": 5}}, "propagation"),
        ({"propagation": {"faith": 1}}, "propagation"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_a_case_that_does_not_say_how_it_was_made_is_refused(a_case: Case, settings: dict, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        Reprompter(changed_settings(a_case, **settings), gray_segmentor()).ask("blob", flat(4, 30, slice(30, 40)))


def test_an_older_case_without_views_gets_the_view_that_its_box_wants(a_case: Case) -> None:
    region = flat(slice(3, 6), slice(22, 42), slice(34, 42))
    answers = []
    for case in (a_case, changed_settings(a_case, views=None)):
        with Reprompter(case, gray_segmentor()) as reprompter:
            answers.append([(a.name, a.after) for a in reprompter.ask("blob", region).alternatives])
    assert answers[0] == answers[1] != []


def test_a_structure_without_a_box_and_a_network_without_prompts_cannot_be_asked(
    a_case: Case, BrightnessSegmentor: type
) -> None:
    boxless = replace(a_case.record, structures=tuple(replace(s, box=None) for s in a_case.structures))
    with (
        Reprompter(Case(a_case.folder, boxless), gray_segmentor()) as reprompter,
        pytest.raises(BadInputError, match='"blob" has no box'),
    ):
        reprompter.ask("blob", flat(4, 30, slice(30, 40)))
    with pytest.raises(BadInputError, match="takes no box"):
        Reprompter(a_case, BrightnessSegmentor(needs_box=False))


def test_a_case_of_another_network_is_refused(a_case: Case) -> None:
    with pytest.raises(BadInputError, match='another network than bundle "litemedsam": "gray"'):
        check_bundle(a_case, load_bundle("litemedsam"))


def test_a_segmentor_that_is_no_sam_has_the_tighter_box_alone(a_case: Case, BrightnessSegmentor: type) -> None:
    assert ManyAnswers(BrightnessSegmentor()).tokens == 1
    region = flat(slice(3, 6), slice(22, 42), slice(34, 42))
    with Reprompter(a_case, BrightnessSegmentor()) as reprompter:
        found = reprompter.ask("blob", region, most=ALL)
    assert {*(a.name for a in found.alternatives), *found.refused} == {TIGHT}


def test_the_first_of_all_masks_is_the_one_that_segmenting_uses() -> None:
    torch.manual_seed(5)
    decoder = BoxDecoder(make_prompt_encoder(64, 8), make_mask_decoder()).eval()
    segmentor = BoxSegmentor(
        "random", lambda images: torch.zeros(len(images), EMBEDDING, 8, 8), decoder, 64, "pad", CPU
    )
    (encoding,) = segmentor.encode(np.random.default_rng(1).random((1, 40, 64)).astype(np.float32))
    encoding = replace(encoding, features=torch.randn(1, EMBEDDING, 8, 8))
    boxes = np.array([[5, 5, 40, 30], [10, 2, 60, 39]], np.float32)
    many = ManyAnswers(segmentor)
    logits = many.logits(encoding, boxes)
    assert many.tokens == 4 and logits.shape == (2, 4, 40, 64)
    torch.testing.assert_close(logits[:, 0], segmentor.decode(encoding, boxes).logits, rtol=1e-4, atol=1e-5)
    others = [logits[:, n] for n in range(4)]
    assert all(not torch.allclose(others[a], others[b]) for a in range(4) for b in range(a))
    assert segmentor.decoder is decoder, "the segmentor is left as it was"


def test_litemedsam_gives_its_own_label_again_and_other_labelings_of_a_real_liver(
    tmp_path: Path, three_experts: tuple
) -> None:
    scan = read_volume(find_resources() / "SampleData" / "body_ct.nrrd", modality="CT")
    part = slice(100, 102)
    origin = scan.geometry.ijk_to_lps[:3] @ (0, 0, part.start, 1)
    image = np.ascontiguousarray(scan.image[part])
    grid = Geometry(image.shape[::-1], scan.geometry.spacing, tuple(origin), scan.geometry.direction_lps)
    low, high = grid.bounds_ras
    volume = Volume(image, grid, "CT", sha256_of_voxels(image), "")
    structures = make_structures([("liver", Box((-73.4, 79.8, low[2] + 1), (140.5, 275.8, high[2] - 1)))])
    bundle = load_bundle("litemedsam")
    network = load_litemedsam(read_weights(bundle.weights), str(bundle.weights))
    segmentor = make_litemedsam(network, CPU, backend="torch")  # OpenVINO would take seconds to compile
    made = segment_volume(
        volume, structures, three_experts, SegmentOptions("litemedsam", "margin", "cpu"),
        make=lambda *_: segmentor,
    )  # fmt: skip
    case = write_case(
        tmp_path / "case", volume, made.structures, three_experts, made.probability, made.routing, made.error,
        "margin", made.settings, made.model, made.versions,
    )  # fmt: skip
    check_bundle(case, bundle)
    regions = worklist_of(case).regions(0.2)
    with Reprompter(case, segmentor) as reprompter:
        asked = reprompter._asked_of("liver")
        for index, rectangle in asked.boxes.items():
            logits = ManyAnswers(segmentor).logits(asked.store.get(index), asked.view.to_view(rectangle)[None])[0, 0]
            stored = Display.of(grid).show(case.probability()[0])[index]
            again = torch.sigmoid(logits).mul(255).round().to(torch.uint8).numpy()
            assert np.array_equal(again, stored), "the same box on the same encoding: the same byte in every voxel"
        found = [reprompter.ask("liver", region.indices) for region in regions]
    assert sum(len(one.alternatives) for one in found) >= 2
    for region, one in zip(regions, found, strict=True):
        before = case.label().reshape(-1)[region.indices]
        for alternative in one.alternatives:
            assert np.array_equal(alternative.after.indices, region.indices)
            assert alternative.changed == np.count_nonzero(alternative.after.labels != before) >= 4
