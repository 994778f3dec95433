"""Figures of one bundle on the test split: learned deferral beside confidence, random and oracle, at equal budgets."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from DeferredSegSlicerLib.core.experts import Competence, Expert
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.metrics import (
    area_under_generalized_risk,
    area_under_roc,
    errors_caught,
)
from DeferredSegSlicerLib.core.regions import RegionList, RegionSettings, find_regions
from DeferredSegSlicerLib.core.routing import Candidates, DeferralOrder
from DeferredSegSlicerLib.core.structures import make_structures
from DeferredSegSlicerLib.engine.bundles import load_bundle
from DeferredSegSlicerLib.engine.datasets import LoadedCase, Subject
from DeferredSegSlicerLib.engine.monai_nets import RoutedVolumeSegmentor, make_volume_segmentor
from DeferredSegSlicerLib.engine.simulation import CORRELATED_READERS, accuracy_by_place, simulate_readers
from DeferredSegSlicerLib.engine.simulation.correlated import BOUNDARY_MM, near_edge
from DeferredSegSlicerLib.engine.training.config import TrainingConfig
from DeferredSegSlicerLib.engine.training.tasks.volumes_figures import (
    RoutedVolume,
    band_voxels,
    deferred_to,
    mean_dice,
    stored_zone,
    system_labels,
)
from DeferredSegSlicerLib.engine.training.tasks.volumes_options import VolumeOptions, chosen_readers
from DeferredSegSlicerLib.engine.training.tasks.volumes_samples import show_case
from DeferredSegSlicerLib.engine.volume_routing import SMALLEST, lead_of
from DeferredSegSlicerLib.engine.weights import read_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEST_SEED = 2029
"""Of the readers in the test; those in training have the run's seed, and another split besides."""

BUDGETS = (0.01, 0.02, 0.05, 0.1, 0.2)
REGIONS_AT = 0.1
COMPETENCE_CASES = 30
"""Training cases that the declared competences are measured on, for methods that know no expert."""


def test_figures(folder: Path, config: TrainingConfig) -> list[dict[str, Any]]:
    """One row for each test case: the model, each expert, and each way to defer."""
    bundle = load_bundle(folder)
    head = bundle.head_tensors() if bundle.head is not None else None
    segmentor = make_volume_segmentor(
        bundle.name, bundle.network, read_weights(bundle.weights), torch.device("cpu"), bundle.id, bundle.head, head
    )
    data = config.data[0].open(2023)
    options = VolumeOptions.model_validate(config.options)
    readers = tuple(reader.name for reader in chosen_readers(config, options))
    rows = []
    for subject in data.subjects("test"):
        case, experts = _case_of(data.kind, str(config.data[0].folder), subject, readers)
        shown = show_case(case, bundle.windows.get(subject.modality), experts)
        image = shown["image"][0].astype(np.float32)
        routing = wrong = None
        if isinstance(segmentor, RoutedVolumeSegmentor):
            maps = segmentor.maps_of(image)
            fit = segmentor.settings.error
            logits, routing, wrong = maps.logits, maps.routing, fit.error(_lead(maps.routing), maps.doubt)
        else:
            logits = segmentor.encode(image)[0].features
        zone = stored_zone(logits, options.zone_floor, band_voxels(options.zone_band_mm, shown["spacing"]))
        volume = RoutedVolume(logits, routing, shown["truth"][0], shown["experts"], zone, wrong)
        competence = competences(str(config.data[0].folder), data.kind, readers)
        rows.append({"case": subject.id, **figures(volume, shown["spacing"], competence, f"{subject.id}")})
    return rows


def _lead(routing: torch.Tensor) -> torch.Tensor:
    return lead_of(routing.clamp(min=SMALLEST).log())


@cache
def _case(kind: str, folder: str, subject: str) -> LoadedCase:
    from DeferredSegSlicerLib.engine.datasets import open_dataset

    found = next(one for one in open_dataset(kind, Path(folder)).subjects() if one.id == subject)
    case = found.load()
    assert isinstance(case, LoadedCase)
    return case


@cache
def _readings(kind: str, folder: str, subject: str, split: str) -> NDArray[np.uint8]:
    case = _case(kind, folder, subject)
    spacing = case.volume.geometry.spacing[::-1]
    return simulate_readers(case.truth, spacing, CORRELATED_READERS, subject, split, TEST_SEED)


def _case_of(
    kind: str, folder: str, subject: Subject, readers: tuple[str, ...]
) -> tuple[LoadedCase, NDArray[np.uint8]]:
    return _case(kind, folder, subject.id), _chosen(_readings(kind, folder, subject.id, subject.split), readers)


def _chosen(readings: NDArray[np.uint8], readers: tuple[str, ...]) -> NDArray[np.uint8]:
    names = [reader.name for reader in CORRELATED_READERS]
    return readings[[names.index(name) for name in readers]]


@cache
def competences(folder: str, kind: str, readers: tuple[str, ...]) -> NDArray[np.float64]:
    """Mean accuracy (place, expert) on training cases; places are background, foreground and boundary."""
    from DeferredSegSlicerLib.engine.datasets import open_dataset

    subjects = open_dataset(kind, Path(folder)).subjects("train")[:COMPETENCE_CASES]
    found = []
    for subject in subjects:
        case = _case(kind, folder, subject.id)
        spacing = case.volume.geometry.spacing[::-1]
        readings = _chosen(_readings(kind, folder, subject.id, "train"), readers)
        by_place = [accuracy_by_place(labels, case.truth, spacing) for labels in readings]
        found.append([[one[place] for one in by_place] for place in ("background", "foreground", "boundary")])
    return np.nanmean(np.array(found), axis=0)


def figures(
    volume: RoutedVolume, spacing: NDArray[np.float64], competence: NDArray[np.float64], seed: str
) -> dict[str, Any]:
    """The row of one case."""
    classes, labels, truth = len(volume.logits) - 1, volume.labels, volume.truth
    wrong = labels != truth
    row: dict[str, Any] = {
        "model": mean_dice(labels, truth, classes),
        "zone": float(volume.zone.mean()),
        "error_rate": float(wrong[volume.zone].mean()),
        "outside": float(wrong[~volume.zone].sum() / max(1, wrong.sum())),
        "experts": [mean_dice(one, truth, classes) for one in volume.experts],
    }
    steps = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    near = near_edge(labels, steps, BOUNDARY_MM) if labels.any() else np.zeros(labels.shape, bool)
    place = np.where(near, 2, np.where(labels > 0, 1, 0))
    declared = competence.argmax(axis=1)[place]
    right = volume.experts == truth
    p = torch.softmax(volume.logits.float(), dim=0)
    entropy = -(p * p.clamp(min=1e-9).log()).sum(dim=0).numpy()
    rng = np.random.default_rng([ord(letter) for letter in seed])
    helped = wrong & right.any(axis=0)
    methods: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {
        "margin": (volume.doubt, declared),
        "entropy": (entropy, declared),
        "random": (rng.random(truth.shape), rng.integers(0, len(right), truth.shape)),
        "oracle": (wrong + 1.0 * helped, right.argmax(axis=0)),
    }
    if volume.routing is not None:
        methods["learned"] = (volume.lead, volume.leader)
        assert volume.wrong is not None
        methods["learned error"] = (volume.wrong.numpy(), volume.leader)
        methods["learned whether, declared whom"] = (volume.lead, declared)
        methods["margin whether, learned whom"] = (volume.doubt, volume.leader)
        row["handed over"] = float((volume.lead[volume.zone] > 0).mean())
        row["soft shares"] = volume.routing.numpy()[:, volume.zone].mean(axis=1).tolist()
    for name, (score, whom) in methods.items():
        row[name] = _method(volume, score, whom, right, wrong, classes, steps)
    return row


def _method(
    volume: RoutedVolume,
    score: NDArray[Any],
    whom: NDArray[Any],
    right: NDArray[np.bool_],
    wrong: NDArray[np.bool_],
    classes: int,
    spacing: tuple[float, float, float],
) -> dict[str, Any]:
    """What a way to defer achieves on a case."""
    seen, errors = score[volume.zone], wrong[volume.zone]
    some = bool(0 < errors.sum() < len(errors))
    found: dict[str, Any] = {
        "auroc": area_under_roc(seen, errors) if some else math.nan,
        "augrc": area_under_generalized_risk(seen, errors) if some else math.nan,
        "caught": errors_caught(seen, errors, BUDGETS).tolist(),
        "system": [],
    }
    for budget in BUDGETS:
        deferred = deferred_to(score, volume.zone, budget)
        found["system"].append(mean_dice(system_labels(volume, deferred, whom), volume.truth, classes))
        if budget == REGIONS_AT:
            chosen = whom.ravel()[deferred]
            who = right.reshape(len(right), -1)[:, deferred]
            mixed = who.any(axis=0) & ~who.all(axis=0)
            hit = np.take_along_axis(who, chosen[None], axis=0)[0]
            found["shares"] = (np.bincount(chosen, minlength=len(right)) / max(1, len(deferred))).tolist()
            found["right expert"] = float(hit.mean())
            found["right expert where it matters"] = float(hit[mixed].mean()) if mixed.any() else math.nan
            found["chance where it matters"] = float(who[:, mixed].mean()) if mixed.any() else math.nan
            found |= _regions(volume, score, whom, len(deferred), spacing)
    return found


def _regions(
    volume: RoutedVolume, score: NDArray[Any], whom: NDArray[Any], count: int, spacing: tuple[float, float, float]
) -> dict[str, float]:
    """Number and size of the worklist's regions, as the product makes them of a score (no minimum but 8 voxels)."""
    indices = np.flatnonzero(volume.zone).astype(np.int32)
    values, expert = score.ravel()[indices], whom.ravel()[indices].astype(np.uint8)
    zeros = np.zeros(len(indices), np.uint8)
    ranked = np.argsort(-values, kind="stable").astype(np.int32)
    rank = np.empty_like(ranked)
    rank[ranked] = np.arange(len(ranked), dtype=np.int32)
    shares = np.zeros((len(volume.experts) + 1, len(indices)), np.uint8)
    candidates = Candidates(indices, zeros, shares, zeros, zeros)
    experts = [
        Expert(f"e{n}", f"e{n}", "reader", (0.5, 0.5, 0.5), Competence(0.9, 0.9, 0.9))
        for n in range(len(volume.experts))
    ]
    depth, rows, columns = volume.truth.shape
    grid = Geometry((columns, rows, depth), (spacing[2], spacing[1], spacing[0]), (0.0, 0.0, 0.0))
    found: RegionList = find_regions(
        candidates, DeferralOrder(ranked, rank, expert), count, make_structures([("all", None)]), experts, grid,
        RegionSettings(0.0, 8),
    )  # fmt: skip
    sizes = [region.volume_ml for region in found]
    return {
        "regions": float(len(sizes)),
        "region ml": float(np.mean(sizes)) if sizes else math.nan,
        "dropped": found.dropped_voxels / max(1, count),
    }
