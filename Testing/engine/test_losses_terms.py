"""Each loss term against its formula, in 2D and 3D, with masks, and in half precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from DeferredSegSlicerLib.engine import losses
from DeferredSegSlicerLib.engine.heads import RoutingLogits


@pytest.fixture(autouse=True)
def a_single_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(params=[(6, 7), (4, 5, 6)], ids=["2D", "3D"])
def a_grid(request: pytest.FixtureRequest) -> tuple[int, ...]:
    return request.param


def random_case(grid: tuple[int, ...], experts: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    log_p = torch.log_softmax(torch.randn(2, experts + 1, *grid), dim=1)
    return log_p, (torch.rand(2, experts + 1, *grid) < 0.7).float()


def test_released_collaboration_is_the_published_sum(a_grid: tuple[int, ...]) -> None:
    log_p, right = random_case(a_grid)
    p = log_p.exp().double()
    expected = (1 - 2 * right[:, :3]).double() * (p[:, :3] + 1e-8).log()
    expected = expected.sum(1) - right[:, 3] * (p[:, 3] + 1e-8).log()
    assert losses.released_collaboration(log_p, right).item() == pytest.approx(expected.mean().item(), rel=1e-5)


def test_consistent_collaboration_asks_only_agents_who_are_right(a_grid: tuple[int, ...]) -> None:
    log_p, right = random_case(a_grid)
    weights = right * torch.tensor([1.0, 0.75, 0.5, 1.0]).reshape(1, 4, *[1] * len(a_grid))
    expected = -(weights * log_p).sum(1).mean().item()
    assert losses.consistent_collaboration(log_p, right, (0, 0.25, 0.5)).item() == pytest.approx(expected, rel=1e-5)
    assert expected > 0


def test_voxels_outside_the_mask_do_not_count(a_grid: tuple[int, ...]) -> None:
    log_p, right = random_case(a_grid)
    valid = torch.rand(2, *a_grid) < 0.5
    changed = torch.where(valid.unsqueeze(1), log_p, torch.log_softmax(torch.randn_like(log_p), dim=1))
    flipped = torch.where(valid.unsqueeze(1), right, 1 - right)
    defer, other = (1 - maps[:, -1].exp() for maps in (log_p, changed))
    pairs = [
        (losses.released_collaboration(log_p, right, valid), losses.released_collaboration(changed, flipped, valid)),
        (
            losses.consistent_collaboration(log_p, right, None, valid),
            losses.consistent_collaboration(changed, flipped, None, valid),
        ),
        (losses.realizable(log_p, right, None, valid), losses.realizable(changed, flipped, None, valid)),
        (losses.one_vs_all(log_p, right, None, valid), losses.one_vs_all(changed, flipped, None, valid)),
        (losses.released_load_balance(log_p, valid), losses.released_load_balance(changed, valid)),
        (losses.conditional_load_balance(log_p, valid, 0.99), losses.conditional_load_balance(changed, valid, 0.99)),
        (losses.released_guidance(log_p[:, 0], log_p, valid), losses.released_guidance(changed[:, 0], changed, valid)),
        (
            losses.edge_aware_total_variation(defer, None, valid),
            losses.edge_aware_total_variation(other, None, valid),
        ),
        (losses.budget_hinge(defer, 0.1, valid), losses.budget_hinge(other, 0.1, valid)),
        (losses.mask_loss(log_p[:, 0], right[:, 0], valid), losses.mask_loss(changed[:, 0], flipped[:, 0], valid)),
    ]
    for kept, after in pairs:
        assert after.item() == pytest.approx(kept.item(), rel=1e-5)
    assert losses.released_collaboration(log_p, right).item() != pytest.approx(pairs[0][0].item(), rel=1e-3)


def test_an_empty_mask_gives_zero_and_no_gradient() -> None:
    log_p, right = random_case((4, 4))
    log_p.requires_grad_()
    loss = losses.consistent_collaboration(log_p, right, None, torch.zeros(2, 4, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert log_p.grad is not None and log_p.grad.abs().max() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("mode", ["released", "consistent"])
def test_gradients_are_finite_for_extreme_half_precision_logits(mode: str, dtype: torch.dtype) -> None:
    raw = torch.randn(2, 4, 8, 8)
    raw[0, 0], raw[0, 1], raw[1, 3] = 6e4, -6e4, -6e4
    leaf = raw.to(dtype).requires_grad_()
    defer = (1000 * torch.randn(2, 8, 8)).to(dtype).requires_grad_()
    truth = (torch.rand(2, 8, 8) < 0.5).long()
    right = losses.agents_right(torch.randint(0, 2, (2, 3, 8, 8)), torch.randint(0, 2, (2, 8, 8)), truth)
    if mode == "released":
        routing = RoutingLogits("released", experts=leaf[:, :-1], defer=defer, model=leaf[:, -1])
        settings: losses.ReleasedSettings | losses.ConsistentSettings = losses.ReleasedSettings()
    else:
        routing = RoutingLogits("consistent", experts=leaf[:, :-1], defer=defer)
        settings = losses.ConsistentSettings(costs=(0.0, 0.1, 0.2))
    own = losses.mask_loss(leaf[:, 0], truth) + losses.class_loss(leaf, truth)
    result = losses.deferral_loss(routing, right, settings, image=torch.rand(2, 8, 8).to(dtype), segmentation=own)
    result = result.total + losses.realizable(routing.log_routing(), right) + losses.one_vs_all(leaf, right)
    result.backward()
    assert result.dtype == torch.float32 and math.isfinite(result.item())
    for tensor in (leaf, defer):
        assert tensor.grad is not None and torch.isfinite(tensor.grad).all() and tensor.grad.abs().max() > 0


def test_routing_does_not_know_how_many_classes_there_are() -> None:
    truth = torch.randint(0, 5, (2, 6, 6))
    experts = torch.randint(0, 5, (2, 3, 6, 6))
    model = torch.randint(0, 5, (2, 6, 6))
    renamed = torch.tensor([3, 0, 4, 1, 2])
    right = losses.agents_right(experts, model, truth)
    assert torch.equal(right, losses.agents_right(renamed[experts], renamed[model], renamed[truth]))
    assert right.shape == (2, 4, 6, 6) and right[:, 3].mean() == (model == truth).float().mean()


def test_guidance_trains_the_predictor_and_never_the_routing() -> None:
    logits = torch.randn(1, 4, 6, 6, requires_grad=True)
    defer = torch.zeros(1, 6, 6, requires_grad=True)
    log_p = torch.log_softmax(logits, dim=1)
    loss = losses.released_guidance(defer, log_p)
    given = (log_p.argmax(1) < 3).float()
    mass = log_p[:, :3].exp().sum(1)
    expected = math.log(2) + 0.5 * ((0.5 - mass) ** 2).mean() + 0.05
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert logits.grad is None
    assert defer.grad is not None and (defer.grad[given == 1] < 0).float().mean() > 0.9


def test_the_double_sigmoid_has_its_published_floors() -> None:
    sure = torch.full((1, 4, 4), 40.0)
    for logits, truth, floor in ((-sure, torch.zeros(1, 4, 4), 0.6931), (sure, torch.ones(1, 4, 4), 0.3133)):
        assert losses.released_mask_loss(logits, truth, double_sigmoid=True).item() == pytest.approx(floor, abs=1e-3)
        assert losses.released_mask_loss(logits, truth).item() == pytest.approx(0, abs=1e-6)


def test_published_bounds_stand_for_three_experts_and_bracket_the_uniform_share_for_others() -> None:
    assert losses.released_bounds(3) == ((0.15, 0.20, 0.18, 0.0), (0.35, 0.30, 0.31, 1.0))
    for experts in (1, 2, 5, 8):
        lower, upper = losses.released_bounds(experts)
        assert len(lower) == len(upper) == experts + 1
        assert all(low < 1 / (experts + 1) < up for low, up in zip(lower[:-1], upper[:-1], strict=True))
        assert (lower[-1], upper[-1]) == (0.0, 1.0)
    collapsed = torch.tensor([0.6, 0.1, 0.1, 0.2]).log().reshape(1, 4, 1, 1).expand(1, 4, 3, 3)
    assert losses.released_load_balance(collapsed).item() == pytest.approx(0.25 + 0.1 + 0.08, abs=1e-5)


def test_conditional_balance_never_touches_whether_to_defer() -> None:
    experts = torch.randn(1, 3, 6, 6, requires_grad=True)
    defer = torch.randn(1, 6, 6, requires_grad=True)
    routing = RoutingLogits("consistent", experts=experts + torch.tensor([3.0, 0, 0]).reshape(1, 3, 1, 1), defer=defer)
    loss = losses.conditional_load_balance(routing.log_routing())
    loss.backward()
    assert loss.item() > 0.1
    assert experts.grad is not None and experts.grad.abs().max() > 1e-4
    assert defer.grad is not None and defer.grad.abs().max() < 1e-7


def test_conditional_shares_weigh_voxels_by_their_deferral() -> None:
    routing = torch.tensor([[[0.8, 0.0], [0.1, 0.05], [0.1, 0.95]]]).clamp(min=1e-12)
    assert losses.conditional_shares(routing.log()).numpy() == pytest.approx([0.8 / 0.95, 0.15 / 0.95], abs=1e-3)


def test_coherence_is_cheap_to_cross_at_an_edge_of_the_image() -> None:
    defer = torch.zeros(1, 8, 8)
    defer[..., 4:] = 1
    image = defer.clone()
    assert losses.edge_aware_total_variation(defer).item() == pytest.approx(1 / 7)
    assert losses.edge_aware_total_variation(defer, image, sigma=0.1).item() == pytest.approx(math.exp(-10) / 7)
    assert losses.edge_aware_total_variation(defer, image.mT, sigma=0.1).item() == pytest.approx(1 / 7)


def test_coherence_weighs_thick_slices_less() -> None:
    defer = torch.zeros(1, 4, 4, 4)
    defer[:, 2:] = 1
    thick = losses.edge_aware_total_variation(defer, spacing=(5.0, 1.0, 1.0))
    assert thick.item() == pytest.approx(losses.edge_aware_total_variation(defer).item() / 5)


def test_coherence_reaches_the_routing_and_joins_the_deferred_pieces(a_grid: tuple[int, ...]) -> None:
    grid = tuple(4 * size for size in a_grid)
    center = torch.stack(torch.meshgrid(*[torch.arange(float(s)) - s / 2 for s in grid], indexing="ij"))
    hard = center.square().sum(0).sqrt() < min(grid) / 3
    model_right = (torch.rand(grid) < torch.where(hard, 0.35, 0.95)).float()
    right = torch.stack([(torch.rand(grid) < 0.85).float(), model_right])[None]

    def trained(weight: float) -> tuple[torch.Tensor, int, float]:
        defer = torch.zeros(1, *grid, requires_grad=True)
        optimizer = torch.optim.Adam([defer], lr=0.2)
        for _ in range(120):
            optimizer.zero_grad()
            routing = RoutingLogits("consistent", experts=torch.zeros(1, 1, *grid), defer=defer)
            coherence = losses.edge_aware_total_variation(routing.deferral())
            (losses.consistent_collaboration(routing.log_routing(), right) + weight * coherence).backward()
            optimizer.step()
        mask = (defer.detach()[0] > 0).numpy().astype(np.uint8)
        pieces = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(mask))).max()
        inside = float(torch.from_numpy(mask)[hard].float().mean())
        return defer, int(pieces), inside

    _, pieces_without, _ = trained(0.0)
    _, pieces_with, inside = trained(1.5)
    assert pieces_with < pieces_without / 2
    assert inside > 0.6

    noisy = torch.randn(1, *grid, requires_grad=True)
    losses.edge_aware_total_variation(torch.sigmoid(noisy)).backward()
    assert noisy.grad is not None and (noisy.grad != 0).float().mean() > 0.5


def test_the_budget_is_free_below_and_costs_above() -> None:
    share = torch.full((1, 4, 4), 0.3, requires_grad=True)
    assert losses.budget_hinge(share, 0.4).item() == 0
    loss = losses.budget_hinge(share, 0.1)
    loss.backward()
    assert loss.item() == pytest.approx(0.2)
    assert share.grad is not None and (share.grad > 0).all()
    with pytest.raises(ValueError, match=r"budget is 1\.5"):
        losses.budget_hinge(share, 1.5)


def test_soft_deferral_is_above_one_half_where_an_expert_is_ahead() -> None:
    log_p, _ = random_case((9, 9))
    ahead = log_p[:, :-1].amax(1) > log_p[:, -1]
    assert torch.equal(losses.soft_deferral(log_p) > 0.5, ahead)


def test_mask_and_class_losses_are_zero_for_sure_and_right_labels(a_grid: tuple[int, ...]) -> None:
    truth = (torch.rand(2, *a_grid) < 0.4).long()
    logits = 60.0 * truth - 30
    labels = torch.randint(0, 3, (2, *a_grid))
    scores = 60.0 * torch.nn.functional.one_hot(labels, 3).movedim(-1, 1)
    assert losses.mask_loss(logits, truth).item() == pytest.approx(0, abs=1e-4)
    assert losses.class_loss(scores, labels).item() == pytest.approx(0, abs=1e-4)
    assert losses.mask_loss(-logits, truth).item() > 10
    assert losses.class_loss(scores.roll(1, dims=1), labels).item() > 10


def test_dice_is_one_minus_the_overlap() -> None:
    truth = torch.zeros(1, 1, 10, 10)
    truth[..., :5] = 1
    half = torch.zeros(1, 1, 10, 10)
    half[..., :5, :5] = 1
    assert losses.soft_dice_loss(half, truth, smooth=0).item() == pytest.approx(1 - 2 * 25 / 75)


def test_one_vs_all_classes_asks_each_class_by_itself() -> None:
    logits = torch.tensor([[1.0, -2.0, 0.5]]).reshape(1, 3, 1)
    psi = [math.log1p(math.exp(u)) for u in (1.0, 2.0, 0.5)]
    assert losses.one_vs_all_classes(logits, torch.tensor([[1]])).item() == pytest.approx(sum(psi), rel=1e-5)


def test_shapes_that_do_not_fit_are_refused() -> None:
    log_p, right = random_case((4, 4))
    with pytest.raises(ValueError, match="model last"):
        losses.released_collaboration(log_p, right[:, :3])
    with pytest.raises(ValueError, match="costs are"):
        losses.consistent_collaboration(log_p, right, (0.1, 0.2))
    with pytest.raises(ValueError, match="costs are"):
        losses.consistent_collaboration(log_p, right, (0.1, 0.2, -1.0))
    with pytest.raises(ValueError, match="mask of valid voxels"):
        losses.released_collaboration(log_p, right, torch.ones(1, 4, 4))


def test_the_total_is_the_weighted_sum_of_its_terms() -> None:
    field = torch.randn(2, 4, 6, 6)
    _, right = random_case((6, 6))
    own = torch.tensor(0.7)
    released = RoutingLogits("released", experts=field[:, :-1], defer=field[:, 0], model=field[:, -1])
    result = losses.deferral_loss(released, right, losses.ReleasedSettings(), segmentation=own)
    terms = result.terms
    assert set(terms) == {"collaboration", "guidance", "load_balance", "segmentation"}
    expected = terms["collaboration"] + terms["guidance"] + 5 * terms["load_balance"] + 0.7
    assert result.total.item() == pytest.approx(expected, rel=1e-5)
    consistent = RoutingLogits("consistent", experts=field[:, :-1], defer=field[:, -1])
    settings = losses.ConsistentSettings(coherence=0.2, load_balance=2.0, budget_weight=3.0)
    result = losses.deferral_loss(consistent, right, settings, image=torch.rand(2, 6, 6))
    terms = result.terms
    expected = terms["collaboration"] + 0.2 * terms["coherence"] + 2 * terms["load_balance"] + 3 * terms["budget"]
    assert result.total.item() == pytest.approx(expected, rel=1e-5)
    assert terms["coherence"] > 0 and terms["budget"] > 0
