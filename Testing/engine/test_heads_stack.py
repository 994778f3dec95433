"""The stack head, and the routing that is stored from what it says of every agent."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from DeferredSegSlicerLib.core.experts import Competence, Expert
from DeferredSegSlicerLib.core.quantize import quantize_shares
from DeferredSegSlicerLib.core.routing import MARGIN_SCALE, margin_keys
from DeferredSegSlicerLib.engine.heads import AgentLogits, StackHead, StackSettings, ranked
from hypothesis import given, settings
from hypothesis import strategies as st

SMALL = StackSettings(experts=3, features=4, embedding=6, widths=(4, 8, 8, 8), embedding_width=4)


def inputs(shape=(5, 13, 18), seed=0):
    generator = torch.Generator().manual_seed(seed)
    depth, rows, columns = shape
    half = (depth, (rows + 1) // 2, (columns + 1) // 2)
    return (
        torch.randn(1, 4, *shape, generator=generator),
        torch.randn(1, 6, *half, generator=generator),
        torch.randn(1, SMALL.known, *shape, generator=generator),
    )


def make_head():
    torch.manual_seed(3)
    return StackHead(SMALL).eval()


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 9, 11), (5, 13, 18), (3, 33, 8)])
def test_stacks_of_any_size_are_routed_voxel_for_voxel(shape):
    answer = make_head()(*inputs(shape))
    assert answer.logits.shape == (1, 4, *shape)
    p = answer.routing().routing()
    torch.testing.assert_close(p.sum(dim=1), torch.ones(1, *shape))


def test_routing_is_in_proportion_to_being_right():
    answer = AgentLogits(torch.tensor([2.0, 0.5, -1.0, 1.0]).reshape(1, 4, 1, 1, 1))
    right = torch.sigmoid(answer.logits)
    torch.testing.assert_close(answer.routing().routing(), right / right.sum(dim=1, keepdim=True))
    torch.testing.assert_close(answer.error(), 1 - right[:, -1])


def test_slices_seen_one_by_one_are_routed_as_the_stack_is():
    head, (features, embedding, known) = make_head(), inputs()
    parts = [head.project(features[:, :, k : k + 1], embedding[:, :, k : k + 1]) for k in range(features.shape[2])]
    stacked = (torch.cat([part[n] for part in parts], dim=2) for n in range(2))
    torch.testing.assert_close(head.route(*stacked, known).logits, head(features, embedding, known).logits)


def test_neighboring_slices_matter():
    head, (features, embedding, known) = make_head(), inputs()
    before = head(features, embedding, known).logits
    features[:, :, 3] += 5
    after = head(features, embedding, known).logits
    assert not torch.allclose(before[:, :, 2], after[:, :, 2], atol=1e-3)


def test_permuting_the_experts_permutes_the_answer():
    head, data = make_head(), inputs()
    before = head(*data).logits
    head.reorder_experts([2, 0, 1])
    torch.testing.assert_close(head(*data).logits, before[:, [2, 0, 1, 3]])
    with pytest.raises(ValueError, match=r"each of 0\.\.2 once"):
        head.reorder_experts([0, 0, 1])


@pytest.mark.parametrize(
    "wrong", [{"experts": 0}, {"widths": [8, 8]}, {"dropout": 1.0}, {"features": 10**9}, {"layers": 3}]
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="stack head"):
        StackSettings.from_json({**SMALL.to_json(), **wrong})


def test_settings_survive_json():
    assert StackSettings.from_json(SMALL.to_json()) == SMALL


accuracies = st.lists(st.lists(st.floats(0.001, 0.999), min_size=4, max_size=4), min_size=2, max_size=6)


@settings(max_examples=60, deadline=None)
@given(accuracies)
def test_the_order_of_deferral_is_the_order_of_the_best_experts_lead(values):
    log_right = torch.tensor(values).T.log()[None]
    p = ranked(log_right)[0].double()
    torch.testing.assert_close(p.sum(dim=0), torch.ones(p.shape[1], dtype=torch.float64), atol=1e-5, rtol=0)
    assert (p >= 0).all()
    margin = p[-1] - p[:-1].amax(dim=0)
    lead = (log_right[0, :-1].amax(dim=0) - log_right[0, -1]).double()
    for one in range(len(lead)):
        for other in range(len(lead)):
            if lead[one] > lead[other] + 1e-4:
                assert margin[one] < margin[other] + 1e-6
        if abs(lead[one]) > 1e-4:
            assert (margin[one] < 0) == (lead[one] > 0)


def test_the_stored_bytes_keep_the_order_and_the_best_expert():
    model = np.linspace(0.02, 0.999, 120)
    right = np.stack([np.full(120, 0.9), np.linspace(0.85, 0.95, 120), np.full(120, 0.6), model])
    p = ranked(torch.from_numpy(right).log().float()[None])[0].numpy()
    experts = [Expert(f"e{n}", f"E{n}", "", (0, 0, 0), Competence(0.9, 0.9, 0.9)) for n in range(3)]
    keys = margin_keys(quantize_shares(p), experts)
    assert keys is not None
    margins, chosen = keys
    steps = np.diff(margins.astype(float) / MARGIN_SCALE)
    assert (steps >= -2).all()  # two bytes are rounded: a step down of one each at most
    assert margins[0] < margins[40] < margins[80] < margins[119]
    sure = np.abs(right[0] - right[1]) > 0.02
    assert (chosen == (right[1] > right[0]))[sure].all()
