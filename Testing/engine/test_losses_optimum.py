"""What each loss's optimum is, found by minimizing it on synthetic voxels with known accuracies."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from DeferredSegSlicerLib.engine import losses
from DeferredSegSlicerLib.engine.heads import RoutingLogits

ACCURACIES = (0.95, 0.85, 0.7, 0.8)
"""Three experts and, last, the model."""


@pytest.fixture(autouse=True)
def a_single_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def voxels_of(accuracies: tuple[float, ...], count: int = 2000) -> torch.Tensor:
    """(1, J + 1, count): each agent right on exactly its share of voxels, independently of the others."""
    columns = []
    for accuracy in accuracies:
        column = torch.zeros(count)
        column[: round(accuracy * count)] = 1
        columns.append(column[torch.randperm(count)])
    return torch.stack(columns)[None]


def routing_of(mode: str, parameters: torch.Tensor, count: int) -> RoutingLogits:
    """The same routing at every voxel, from J + 1 numbers."""
    field = parameters[None, :, None].expand(1, -1, count)
    if mode == "released":
        return RoutingLogits("released", experts=field[:, :-1], defer=field[:, -1], model=field[:, -1])
    return RoutingLogits("consistent", experts=field[:, :-1], defer=field[:, -1])


def minimized(mode: str, agents: int, loss: Callable[[RoutingLogits], torch.Tensor], count: int) -> torch.Tensor:
    """Routing (J + 1,) at the minimum of a loss of the routing."""
    parameters = torch.zeros(agents, requires_grad=True)
    optimizer = torch.optim.Adam([parameters], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    for _ in range(400):
        optimizer.zero_grad()
        loss(routing_of(mode, parameters, count)).backward()
        optimizer.step()
        schedule.step()
    return routing_of(mode, parameters.detach(), 1).routing()[0, :, 0]


def normalized(weights: list[float]) -> torch.Tensor:
    values = torch.tensor(weights)
    return values / values.sum()


def test_released_routing_goes_to_twice_the_accuracy_minus_one() -> None:
    right = voxels_of(ACCURACIES)
    found = minimized("released", 4, lambda r: losses.released_collaboration(r.log_routing(), right), right.shape[2])
    expected = normalized([0.9, 0.7, 0.4, 0.8])
    assert (found - expected).abs().max() < 0.02


def test_consistent_routing_goes_to_the_accuracies() -> None:
    right = voxels_of(ACCURACIES)
    found = minimized(
        "consistent", 4, lambda r: losses.consistent_collaboration(r.log_routing(), right), right.shape[2]
    )
    assert (found - normalized(list(ACCURACIES))).abs().max() < 0.02


@pytest.mark.parametrize("experts", [1, 3, 5])
def test_the_optimum_holds_for_any_number_of_experts(experts: int) -> None:
    accuracies = (*[0.6 + 0.07 * n for n in range(experts)], 0.75)
    right = voxels_of(accuracies)
    consistent = minimized(
        "consistent", experts + 1, lambda r: losses.consistent_collaboration(r.log_routing(), right), right.shape[2]
    )
    released = minimized(
        "released", experts + 1, lambda r: losses.released_collaboration(r.log_routing(), right), right.shape[2]
    )
    assert (consistent - normalized(list(accuracies))).abs().max() < 0.02
    assert (released - normalized([*[2 * a - 1 for a in accuracies[:-1]], accuracies[-1]])).abs().max() < 0.02


def test_an_expert_of_accuracy_below_one_half_gets_nothing_in_released() -> None:
    right = voxels_of((0.3, 0.9, 0.8))
    found = minimized("released", 3, lambda r: losses.released_collaboration(r.log_routing(), right), right.shape[2])
    assert (found - normalized([0, 0.8, 0.8])).abs().max() < 0.02


@pytest.mark.parametrize("mode", ["released", "consistent"])
def test_experts_who_guess_get_no_voxels_and_perfect_free_ones_get_all(mode: str) -> None:
    collaboration = losses.released_collaboration if mode == "released" else losses.consistent_collaboration
    for accuracies, expected in (((0.5, 0.5, 0.5, 0.9), 0.0), ((1.0, 1.0, 1.0, 0.6), 1.0)):
        right = voxels_of(accuracies)
        found = minimized(mode, 4, lambda r, right=right: collaboration(r.log_routing(), right), right.shape[2])
        deferred = losses.soft_deferral(found[None, :, None].log(), temperature=0.05)
        assert deferred.item() == pytest.approx(expected, abs=0.02)
        assert (found[:-1].max() > found[-1]) == bool(expected)


def test_guessing_experts_lose_all_their_mass_in_released() -> None:
    right = voxels_of((0.5, 0.5, 0.5, 0.9))
    found = minimized("released", 4, lambda r: losses.released_collaboration(r.log_routing(), right), right.shape[2])
    assert found[-1] > 0.98


def test_a_higher_cost_never_raises_an_experts_share() -> None:
    right = voxels_of(ACCURACIES)
    shares = []
    for cost in (0.0, 0.2, 0.5, 0.9, 1.0):
        found = minimized(
            "consistent",
            4,
            lambda r, cost=cost: losses.consistent_collaboration(r.log_routing(), right, (cost, 0, 0)),
            right.shape[2],
        )
        shares.append(float(found[0]))
        assert (found - normalized([0.95 * (1 - cost), 0.85, 0.7, 0.8])).abs().max() < 0.02
    assert all(later < earlier for earlier, later in itertools.pairwise(shares))


def test_one_vs_all_and_decoupled_learn_each_accuracy_by_itself() -> None:
    right = voxels_of(ACCURACIES)
    logits = torch.zeros(4, requires_grad=True)
    other = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([logits, other], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        loss = losses.one_vs_all(logits[None, :, None].expand(right.shape), right, (0.5, 0, 0))
        loss = loss + losses.decoupled_sigmoid(other[None, :, None].expand(right[:, :-1].shape), right[:, :-1])
        loss.backward()
        optimizer.step()
    assert torch.sigmoid(logits).detach().numpy() == pytest.approx([0.475, 0.85, 0.7, 0.8], abs=0.02)
    assert torch.sigmoid(other).detach().numpy() == pytest.approx(ACCURACIES[:3], abs=0.02)


def test_realizable_is_zero_as_soon_as_a_right_agent_has_it_all() -> None:
    right = torch.tensor([[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    routing = torch.tensor([[[1.0, 0.0, 0.5], [0.0, 0.0, 0.25], [0.0, 1.0, 0.25]]])
    assert losses.realizable(routing.clamp(min=1e-30).log(), right).item() == pytest.approx(0, abs=1e-6)
    assert losses.realizable(routing.clamp(min=1e-30).log(), 1 - right).item() > 1


def test_realizable_sends_every_voxel_to_an_agent_that_is_right() -> None:
    right = voxels_of((0.7, 0.6, 0.5), 300)
    logits = torch.zeros(1, 3, 300, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        losses.realizable(torch.log_softmax(logits, dim=1), right).backward()
        optimizer.step()
    chosen = logits.argmax(dim=1, keepdim=True)
    solvable = right.amax(dim=1) > 0
    assert right.gather(1, chosen)[:, 0][solvable].mean() > 0.999


def test_balancing_changes_who_is_asked_and_not_how_good_the_kept_voxels_are() -> None:
    count = 4000
    right = torch.cat([voxels_of((0.95, 0.9, 0.85), count), torch.ones(1, 1, count)], dim=1)
    hard = torch.arange(count) < count // 4
    right[0, -1] = torch.where(hard, (torch.rand(count) < 0.3).float(), (torch.rand(count) < 0.97).float())

    def trained(weight: float) -> tuple[torch.Tensor, float, float]:
        parameters = torch.zeros(2, 4, requires_grad=True)
        optimizer = torch.optim.Adam([parameters], lr=0.1)
        for _ in range(200):
            optimizer.zero_grad()
            field = parameters[hard.long()].T[None]
            log_p = RoutingLogits("consistent", experts=field[:, :-1], defer=field[:, -1]).log_routing()
            loss = losses.consistent_collaboration(log_p, right, (0.0, 0.5, 0.5))
            (loss + weight * losses.conditional_load_balance(log_p, tightness=0.95)).backward()
            optimizer.step()
        log_p = log_p.detach()
        kept = log_p[0, -1] > log_p[0, :-1].amax(dim=0)
        return losses.conditional_shares(log_p), float(right[0, -1][kept].mean()), float(kept.float().mean())

    free, accuracy_free, kept_free = trained(0.0)
    balanced, accuracy_balanced, kept_balanced = trained(5.0)
    assert free[0] > 0.45
    assert (balanced - 1 / 3).abs().max() < 0.03
    assert accuracy_balanced == pytest.approx(accuracy_free, abs=0.005)
    assert kept_balanced == pytest.approx(kept_free, abs=0.005)


def test_permuting_the_experts_permutes_what_is_learned() -> None:
    right = voxels_of(ACCURACIES)
    order = [2, 0, 1]
    for mode, collaboration in (
        ("released", losses.released_collaboration),
        ("consistent", losses.consistent_collaboration),
    ):
        found = minimized(mode, 4, lambda r, c=collaboration: c(r.log_routing(), right), right.shape[2])
        again = minimized(mode, 4, lambda r, c=collaboration: c(r.log_routing(), right[:, [*order, 3]]), right.shape[2])
        assert torch.allclose(again, found[[*order, 3]], atol=1e-4)
