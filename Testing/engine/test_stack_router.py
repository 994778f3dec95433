"""Method "learned" with box prompts: from slices seen one by one to routing on the volume's grid."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.structures import make_structures, terminology_of
from DeferredSegSlicerLib.engine.bundle_writer import write_bundle
from DeferredSegSlicerLib.engine.bundles import load_bundle
from DeferredSegSlicerLib.engine.deferral.learned import make_learned
from DeferredSegSlicerLib.engine.deferral.stack_router import OVERLAP, SLAB, StackRouter, _Kept
from DeferredSegSlicerLib.engine.heads import StackHead, StackSettings
from DeferredSegSlicerLib.engine.pipeline import SegmentOptions, method_for, segment_volume, segment_with
from DeferredSegSlicerLib.engine.segmentor import Encoding, Prediction
from torch.nn import functional

SETTINGS = StackSettings(experts=3, features=4, embedding=6, widths=(4, 8, 8, 8), embedding_width=4)
CPU = torch.device("cpu")
CANVAS = 64


@dataclass
class FeatureSegmentor:
    """What is brighter than mid gray inside the box, on a square canvas, with features as a SAM-type network has."""

    batch: int = 1
    needs_box: bool = True
    whole_volume: bool = False
    classes: tuple[str, ...] = ()
    name: str = "features"
    fit: str = "pad"
    device: torch.device = CPU

    def encode(self, slices: np.ndarray) -> list[Encoding]:
        found = []
        for one in slices:
            rows, columns = (max(1, int(n * CANVAS / max(one.shape) + 0.5)) for n in one.shape)
            image = functional.interpolate(torch.from_numpy(one.copy())[None, None], size=(rows, columns), mode="area")
            image = functional.pad(image, (0, CANVAS - columns, 0, CANVAS - rows))
            coarse = functional.avg_pool2d(image, 4)
            features = torch.cat([coarse, coarse**2, coarse.sqrt(), 1 - coarse, coarse - 0.5, coarse**3], dim=1)
            found.append(Encoding(features, one.shape, image[0, 0].numpy()))
        return found

    def decode(self, encoding: Encoding, boxes: np.ndarray | None, with_features: bool = False) -> Prediction:
        assert boxes is not None
        height, width = encoding.shape
        scale = CANVAS / max(height, width)
        gray = functional.interpolate(encoding.features[:, :1].float(), size=(CANVAS, CANVAS), mode="bilinear")[0, 0]
        x0, y0, x1, y1 = (boxes[0] + 0.5) * scale
        rows, columns = torch.arange(CANVAS)[:, None] + 0.5, torch.arange(CANVAS)[None] + 0.5
        inside = (rows >= y0 - 1) & (rows <= y1 + 1) & (columns >= x0 - 1) & (columns <= x1 + 1)
        low = torch.where(inside, 8 * (gray - 0.5), torch.tensor(-8.0))
        part = low[None, None, : max(1, int(height * scale + 0.5)), : max(1, int(width * scale + 0.5))]
        logits = functional.interpolate(part, size=(height, width), mode="bilinear")[0]
        features = torch.stack([low, gray, low.tanh(), gray**2])[None] if with_features else None
        return Prediction(logits, features, low[None], torch.tensor([0.9]))


class WideFeatureSegmentor(FeatureSegmentor):
    """The same with as many channels as LiteMedSAM has, so that the shipped head fits."""

    def encode(self, slices: np.ndarray) -> list[Encoding]:
        found = super().encode(slices)
        return [Encoding(one.features.repeat(1, 43, 1, 1)[:, :256], one.shape, one.image) for one in found]

    def decode(self, encoding: Encoding, boxes: np.ndarray | None, with_features: bool = False) -> Prediction:
        answer = super().decode(encoding, boxes, with_features)
        return answer if answer.features is None else replace(answer, features=answer.features.repeat(1, 8, 1, 1))


def make_head(seed=5):
    torch.manual_seed(seed)
    return StackHead(SETTINGS)


def run(volume, structures, experts, method):
    return segment_with(FeatureSegmentor(), method, volume, structures, experts, SegmentOptions(method=method.name))


@pytest.mark.parametrize(
    ("order", "flips"), [((0, 1, 2), (False, False, True)), ((2, 0, 1), (True, False, False)), ((0, 1, 2), (True,) * 3)]
)
def test_the_same_scan_stored_along_other_axes_is_routed_the_same(
    an_axial_volume, two_structures, three_experts, stored_differently, order, flips
):
    plain = run(an_axial_volume, two_structures, three_experts, StackRouter(make_head(), CPU))
    other = stored_differently(an_axial_volume, order, flips)
    result = run(other, two_structures, three_experts, StackRouter(make_head(), CPU))
    assert plain.routing[0].max() > 0
    for name in ("probability", "routing", "error"):
        maps = getattr(plain, name)
        lead = maps.ndim - 3
        turned = maps.transpose([*range(lead), *(lead + axis for axis in order)])
        steps = tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)
        np.testing.assert_array_equal(getattr(result, name), turned[(slice(None),) * lead + steps], err_msg=name)


def test_the_masks_are_those_of_the_plain_segmentor(an_axial_volume, two_structures, three_experts):
    from DeferredSegSlicerLib.engine.deferral import make_method

    plain = run(an_axial_volume, two_structures, three_experts, make_method("margin"))
    learned = run(an_axial_volume, two_structures, three_experts, StackRouter(make_head(), CPU))
    np.testing.assert_array_equal(learned.probability, plain.probability)
    assert not np.array_equal(learned.routing, plain.routing)
    assert learned.settings["routing"] == "learned"
    assert (learned.routing.sum(axis=0, dtype=int) == 255).all()


def test_experts_in_another_order_get_the_same_voxels(an_axial_volume, two_structures, three_experts):
    head = make_head()
    first = run(an_axial_volume, two_structures, three_experts, StackRouter(head, CPU))
    again = make_head()
    again.reorder_experts([2, 0, 1])
    turned = [three_experts[n] for n in (2, 0, 1)]
    second = run(an_axial_volume, two_structures, turned, StackRouter(again, CPU))
    np.testing.assert_allclose(second.routing[:3].astype(int), first.routing[[2, 0, 1]].astype(int), atol=1)


def test_other_experts_share_by_competence_and_the_case_says_so(an_axial_volume, two_structures, three_experts):
    result = run(an_axial_volume, two_structures, three_experts[:2], StackRouter(make_head(), CPU, with_shares=False))
    assert result.settings["routing"] == "competence"
    assert any("not trained for these experts" in warning for warning in result.settings["warnings"])


def test_a_stack_taller_than_a_slab_keeps_its_slices_in_order():
    head = make_head()
    router = StackRouter(head, CPU)
    count = SLAB + OVERLAP + 3
    kept = [
        _Kept(torch.full((4, 8, 8), n / count), torch.zeros(4, 4, 4), torch.zeros(SETTINGS.known, 8, 8))
        for n in range(count)
    ]
    logits = router.route(kept)
    assert logits.shape == (count, 4, 8, 8)
    again = router.route(kept[SLAB - OVERLAP :])
    torch.testing.assert_close(logits[SLAB:], again[OVERLAP:])


def test_a_segmentor_without_features_is_refused_in_a_sentence(
    BrightnessSegmentor, an_axial_volume, two_structures, three_experts
):
    with pytest.raises(BadInputError, match="no decoder features"):
        segment_with(
            BrightnessSegmentor(), StackRouter(make_head(), CPU), an_axial_volume, two_structures, three_experts
        )


@pytest.fixture
def a_bundle_with_a_head(tmp_path):
    """A copy of the shipped LiteMedSAM with an untrained head beside it."""
    base = load_bundle("litemedsam")
    settings = StackSettings(experts=2)
    torch.manual_seed(1)
    description = {
        "id": "with-head",
        "name": "With head",
        "family": "litemedsam",
        "license": "Apache-2.0",
        "head": {
            "kind": "stack",
            "mode": "consistent",
            "experts": [{"id": "edge", "name": "Edge"}, {"id": "extent", "name": "Extent"}],
            "settings": settings.to_json(),
        },
    }
    return write_bundle(tmp_path / "with-head", description, base.weights, StackHead(settings).state_dict(), "# Card\n")


def test_a_bundle_brings_its_head_and_its_experts(a_bundle_with_a_head, three_experts):
    assert method_for("auto", a_bundle_with_a_head, []) == "learned"
    edge, extent, _ = (
        replace(expert, id=name) for expert, name in zip(three_experts, ("edge", "extent", "other"), strict=True)
    )
    same = make_learned(a_bundle_with_a_head, [edge, extent], CPU, "f32")
    turned = make_learned(a_bundle_with_a_head, [extent, edge], CPU, "f32")
    weights = same.head.answer.weight
    torch.testing.assert_close(turned.head.answer.weight, weights[[1, 0, 2]])
    assert same.with_shares and turned.with_shares
    assert not make_learned(a_bundle_with_a_head, three_experts, CPU, "f32").with_shares
    assert "head" in a_bundle_with_a_head.to_json()


def test_a_bundle_without_a_head_defers_by_margin_and_refuses_to_pretend():
    bundle = load_bundle("litemedsam")
    assert method_for("auto", bundle, []) == "margin"
    with pytest.raises(BadInputError, match="no deferral head"):
        method_for("learned", bundle, [])


def test_a_head_trained_on_lesions_is_not_let_loose_on_organs(two_structures):
    """Measured on the sample CT: such a head finds the errors of liver, spleen and kidney worse than the margin."""
    bundle = load_bundle("litemedsam-deferral")
    assert bundle.head is not None and bundle.head["scope"] == "lesions"
    box = two_structures[0].box
    tumor, liver = make_structures([("tumor", box), ("liver", box)])
    assert method_for("auto", bundle, [tumor]) == "learned"
    assert method_for("auto", bundle, [liver]) == method_for("auto", bundle, [tumor, liver]) == "margin"
    assert method_for("learned", bundle, [liver]) == "learned"


@pytest.mark.parametrize(
    ("method", "used"), [("auto", "the softmax margin decides"), ("learned", "may find errors worse")]
)
def test_the_case_says_when_an_organ_is_outside_the_heads_training(
    an_axial_volume, two_structures, three_experts, method, used
):
    organs = [replace(one, name="liver", terminology=terminology_of("liver")) for one in two_structures[:1]]
    options = SegmentOptions(method=method, device="cpu")

    def made_for(structures):
        segmentor = WideFeatureSegmentor()
        return segment_volume(an_axial_volume, structures, three_experts, options, make=lambda *rest: segmentor)

    assert any('"liver"' in warning and used in warning for warning in made_for(organs).settings["warnings"])
    lesions = [replace(one, name="tumor", terminology=terminology_of("tumor")) for one in organs]
    result = made_for(lesions)
    assert result.settings["method"] == "learned"
    assert not any("trained on" in warning for warning in result.settings["warnings"])


def test_a_damaged_head_is_refused(a_bundle_with_a_head, three_experts):
    path = a_bundle_with_a_head.folder / "head.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BadInputError, match="damaged or exchanged"):
        make_learned(a_bundle_with_a_head, three_experts, CPU, "f32")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("kind", "magic", "expected one of stack"),
        ("experts", [], "expected a list of id and name"),
        ("experts", [{"id": "a", "name": "A"}] * 2, "an id twice"),
        ("file", "../head.safetensors", "plain name"),
        ("sha256", "no", "64 hexadecimal"),
        ("settings", {"experts": 3}, "2 are named"),
        ("settings", {"depth": 3}, "cannot be made"),
    ],
)
def test_a_wrong_description_of_the_head_is_named(a_bundle_with_a_head, three_experts, key, value, sentence):
    path = a_bundle_with_a_head.folder / "bundle.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["head"][key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(BadInputError, match=sentence):
        make_learned(load_bundle(a_bundle_with_a_head.folder), three_experts, CPU, "f32")


def test_a_head_for_single_slices_is_not_used_on_volumes(a_bundle_with_a_head, three_experts):
    path = a_bundle_with_a_head.folder / "bundle.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["head"]["kind"] = "slice"
    path.write_text(json.dumps(content))
    bundle = load_bundle(a_bundle_with_a_head.folder)
    assert method_for("auto", bundle, []) == "margin"
    with pytest.raises(BadInputError, match="for single slices"):
        make_learned(bundle, three_experts, CPU, "f32")
