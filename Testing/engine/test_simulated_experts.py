"""Simulated experts: as right as they claim, seeded once, and wrong in connected places like people."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from DeferredSegSlicerLib.engine import simulation
from DeferredSegSlicerLib.engine.simulation import (
    CORRELATED_READERS,
    DISCREPANCY,
    SIMILAR,
    CorrelatedReader,
    PublishedExpert,
    accuracy_by_place,
    correlated_readers,
    places,
    published_experts,
    reader_generator,
    simulate_readers,
)
from DeferredSegSlicerLib.engine.simulation.published import edge_ring
from DeferredSegSlicerLib.engine.simulation.shapes import pieces, signed_distance
from DeferredSegSlicerLib.engine.simulation.smooth_field import SmoothField

SPACING = (2.5, 1.0, 1.0)
"""mm along k, j, i."""


def ball(shape: tuple[int, ...], spacing: tuple[float, ...], radius: float) -> np.ndarray:
    """A ball of `radius` mm in the middle of the array."""
    axes = [(np.arange(n) - n / 2) * s for n, s in zip(shape, spacing, strict=True)]
    return sum(a**2 for a in np.meshgrid(*axes, indexing="ij")) < radius**2


@pytest.fixture(scope="module")
def a_liver() -> np.ndarray:
    """One structure of 25 mm radius, [k, j, i]."""
    return ball((32, 80, 80), SPACING, 25.0).astype(np.uint8)


@pytest.fixture(scope="module")
def a_disc() -> np.ndarray:
    """A large disc in 2D, [j, i]."""
    return ball((256, 256), (1.0, 1.0), 70.0).astype(np.uint8)


@pytest.mark.parametrize("expert", [*SIMILAR, *DISCREPANCY], ids=lambda e: e.name)
def test_a_published_expert_is_as_right_as_declared(expert: PublishedExpert, a_disc: np.ndarray) -> None:
    labels = simulate_readers(a_disc, (1, 1), [expert], "disc", "test", 2023)[0]
    right, ring = labels == a_disc, edge_ring(a_disc != 0)
    assert right[a_disc != 0].mean() == pytest.approx(expert.foreground, abs=0.01)
    assert right[(a_disc == 0) & ~ring].mean() == pytest.approx(expert.background, abs=0.01)
    assert right[ring].mean() == pytest.approx(expert.edge, abs=0.015)


def test_published_rings_are_perfect_but_for_two_experts() -> None:
    rings = {e.name: e.edge for e in (*SIMILAR, *DISCREPANCY)}
    assert {name for name, edge in rings.items() if edge < 1} == {"E0", "E1"}
    assert rings["E0"] == rings["E1"] == pytest.approx(0.98)
    assert [e.name for e in published_experts("discrepancy", 5)] == ["E1", "E2", "E3", "E4", "E5"]
    with pytest.raises(ValueError, match='7 "discrepancy"'):
        published_experts("discrepancy", 8)


def test_the_edge_is_three_pixels_of_background_in_the_slice() -> None:
    mask = np.zeros((5, 20, 20), dtype=bool)
    mask[2, 8:10, 8:12] = True
    ring = edge_ring(mask)
    assert not ring[[0, 1, 3, 4]].any()
    expected = np.zeros((20, 20), dtype=bool)
    expected[5:13, 5:15] = True
    assert np.array_equal(ring[2], expected & ~mask[2])
    corner = np.zeros((4, 4), dtype=bool)
    corner[0, 0] = True
    assert edge_ring(corner).sum() == 15


def test_wrong_labels_of_many_classes_are_other_classes_of_the_image() -> None:
    truth = np.repeat(np.array([0, 2, 7], dtype=np.uint8), 30000).reshape(300, 300)
    labels = simulate_readers(truth, (1, 1), [PublishedExpert("half", 0.5, 0.5, 0.0)], "x", "train", 1)[0]
    assert set(np.unique(labels)) <= {0, 1, 2, 7}
    wrong = labels[(truth == 7) & (labels != truth)]
    counts = np.array([(wrong == c).mean() for c in (0, 1, 2)])
    assert counts == pytest.approx(1 / 3, abs=0.02)
    assert (labels == truth).mean() == pytest.approx(0.5, abs=0.01)


def test_labels_are_drawn_once_and_test_readers_are_other_people(a_liver: np.ndarray) -> None:
    readers = [SIMILAR[0], *correlated_readers(3)]
    once = simulate_readers(a_liver, SPACING, readers, "case-7", "train", 2023)
    assert once.dtype == np.uint8 and once.shape == (4, *a_liver.shape)
    assert np.array_equal(once, simulate_readers(a_liver, SPACING, readers, "case-7", "train", 2023))
    alone = simulate_readers(a_liver, SPACING, readers[2:3], "case-7", "train", 2023)
    assert np.array_equal(once[2], alone[0])
    for other in (("case-8", "train", 2023), ("case-7", "test", 2023), ("case-7", "train", 2025)):
        again = simulate_readers(a_liver, SPACING, readers, *other)
        assert all(not np.array_equal(a, b) for a, b in zip(once, again, strict=True))


def test_seeds_do_not_depend_on_the_python_process() -> None:
    code = (
        "from DeferredSegSlicerLib.engine.simulation.seeds import reader_generator as g;"
        "print(g('case-7', 'boundary', 'train', 2023).integers(1 << 62))"
    )
    root = str(Path(simulation.__file__).parents[3])
    drawn = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": root, "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
        ).stdout.strip()
        for salt in ("1", "2")
    }
    assert drawn == {str(reader_generator("case-7", "boundary", "train", 2023).integers(1 << 62))}
    with pytest.raises(ValueError, match="split is"):
        reader_generator("a", "b", "holdout", 1)


def test_the_boundary_moves_by_the_declared_millimeters() -> None:
    reader = CorrelatedReader("r", boundary_sd_mm=2.0, bias_mm=1.0, leaks=0, bites=0, miss_probability=0)
    truth = ball((24, 64, 64), SPACING, 18.0).astype(np.uint8)
    distance = signed_distance(truth != 0, SPACING)
    drawn = np.mean(
        [simulate_readers(truth, SPACING, [reader], f"case-{n}", "train", 1)[0] != 0 for n in range(30)], axis=0
    )
    for t, expected in ((-4.0, 0.994), (-1.0, 0.841), (1.0, 0.5), (3.0, 0.159), (6.0, 0.006)):
        assert drawn[np.abs(distance - t) < 0.3].mean() == pytest.approx(expected, abs=0.06)


def test_distances_are_in_millimeters_along_every_axis() -> None:
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[4, 4, 4] = True
    distance = signed_distance(mask, SPACING)
    assert distance[4, 4, 7] - distance[4, 4, 6] == pytest.approx(1.0)
    assert distance[7, 4, 4] - distance[6, 4, 4] == pytest.approx(2.5)
    assert distance[4, 4, 4] < 0 < distance[4, 4, 5]


def test_neighbors_share_their_fate_in_correlated_readers_and_not_in_published_ones(a_liver: np.ndarray) -> None:
    distance = signed_distance(a_liver != 0, SPACING)
    shell = np.argwhere((distance > 0) & (distance < 1.5))
    points = shell * np.asarray(SPACING)
    generator = np.random.default_rng(0)
    pairs = generator.integers(0, len(points), (400_000, 2))
    apart = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)

    def correlation(reader: CorrelatedReader | PublishedExpert, low: float, high: float) -> float:
        chosen = pairs[(apart > low) & (apart <= high)]
        first, second = [], []
        for n in range(8):
            labels = simulate_readers(a_liver, SPACING, [reader], f"case-{n}", "train", 1)[0]
            wrong = (labels != a_liver)[tuple(shell.T)]
            first.append(wrong[chosen[:, 0]])
            second.append(wrong[chosen[:, 1]])
        return float(np.corrcoef(np.concatenate(first), np.concatenate(second))[0, 1])

    correlated = CorrelatedReader("r", boundary_sd_mm=2.0, correlation_mm=8.0, leaks=0, bites=0)
    flips = PublishedExpert("flips", 0.8, 0.8, 0.0)
    assert correlation(correlated, 0.5, 3.0) > 0.6
    assert abs(correlation(correlated, 25.0, 60.0)) < 0.15
    assert abs(correlation(flips, 0.5, 3.0)) < 0.03


@pytest.mark.parametrize("reader", CORRELATED_READERS, ids=lambda r: r.name)
def test_each_reader_is_right_in_the_speciality_and_wrong_elsewhere(
    reader: CorrelatedReader, a_liver: np.ndarray
) -> None:
    where = places(a_liver, SPACING)
    occupied = np.flatnonzero(a_liver.any(axis=(1, 2)))
    upper = np.broadcast_to(np.arange(len(a_liver))[:, None, None] > occupied.mean(), a_liver.shape)
    special = {
        "foreground": a_liver != 0,
        "background": a_liver == 0,
        "boundary": where["boundary"],
        "upper": upper,
        "lower": ~upper,
    }[str(reader.speciality)]
    near = np.abs(signed_distance(a_liver != 0, SPACING)) < 12
    inside, outside = [], []
    for n in range(6):
        right = simulate_readers(a_liver, SPACING, [reader], f"case-{n}", "test", 5)[0] == a_liver
        inside.append(right[special & near].mean())
        outside.append(right[~special & near].mean())
    assert np.mean(inside) > 0.99
    assert 0.6 < np.mean(outside) < 0.97


@pytest.mark.parametrize("count", [1, 3, 5])
def test_readers_of_any_number_complement_each_other(count: int, a_liver: np.ndarray) -> None:
    labels = simulate_readers(a_liver, SPACING, correlated_readers(count), "case-1", "train", 3)
    right = labels == a_liver
    assert labels.shape[0] == count
    if count >= 3:
        assert right.any(axis=0).mean() > max(r.mean() for r in right)
        assert right.any(axis=0)[a_liver != 0].mean() > 0.99


def test_only_small_pieces_are_missed() -> None:
    truth = np.zeros((16, 64, 64), dtype=np.uint8)
    truth[2:14, 4:30, 4:30] = 1
    truth[6:8, 40:45, 40:45] = 1
    reader = CorrelatedReader("r", boundary_sd_mm=0.3, leaks=0, bites=0, miss_ml=0.5, miss_probability=1.0)
    labels = simulate_readers(truth, SPACING, [reader], "x", "train", 1)[0]
    assert pieces(truth != 0)[1] == 2
    assert not labels[:, 36:, 36:].any()
    assert (labels[2:14, 4:30, 4:30] != 0).mean() > 0.95


def test_leaks_and_bites_are_connected_lumps_in_mm(a_liver: np.ndarray) -> None:
    for leaks, bites, place in ((3.0, 0.0, 0), (0.0, 3.0, 1)):
        reader = CorrelatedReader("r", boundary_sd_mm=0.0, leaks=leaks, bites=bites, miss_probability=0)
        wrong = np.zeros(a_liver.shape, dtype=bool)
        sizes = []
        for n in range(6):
            error = simulate_readers(a_liver, SPACING, [reader], f"case-{n}", "train", 2)[0] != a_liver
            labels, found = pieces(error)
            sizes += list(np.bincount(labels.ravel(), minlength=found + 1)[1:])
            wrong |= error
        assert set(np.unique(a_liver[wrong])) == {place}
        assert np.median(sizes) * 2.5 / 1000 > 0.1
        assert np.abs(signed_distance(a_liver != 0, SPACING)[wrong]).max() < 2 * 6.0 * 2.2


def test_a_leak_keeps_to_tissue_that_looks_alike(a_liver: np.ndarray) -> None:
    image = np.where(a_liver != 0, 100.0, 0.0).astype(np.float32)
    image += np.random.default_rng(0).normal(0, 5, a_liver.shape).astype(np.float32)
    image[:, :, 40:][a_liver[:, :, 40:] == 0] += 100
    reader = CorrelatedReader("r", boundary_sd_mm=0.0, leaks=6.0, bites=0.0, miss_probability=0)
    leaked = np.zeros(a_liver.shape, dtype=bool)
    for n in range(5):
        leaked |= simulate_readers(a_liver, SPACING, [reader], f"case-{n}", "train", 2, image)[0] != a_liver
    assert leaked.sum() > 200
    assert np.argwhere(leaked)[:, 2].min() >= 40


def test_structures_that_touch_stay_apart_and_keep_their_labels() -> None:
    truth = np.zeros((20, 60, 60), dtype=np.uint8)
    truth[4:16, 10:50, 10:30] = 3
    truth[4:16, 10:50, 30:50] = 9
    labels = simulate_readers(truth, SPACING, correlated_readers(3), "x", "train", 1)
    assert set(np.unique(labels)) == {0, 3, 9}
    assert (labels[1] != truth).any()
    assert ((labels == 3) & (truth == 3)).sum(axis=(1, 2, 3)).min() > 0.6 * (truth == 3).sum()


@pytest.mark.parametrize("reader", [SIMILAR[0], *correlated_readers(2)], ids=lambda r: r.name)
def test_an_image_without_structures_and_one_that_is_all_structure_are_read(
    reader: PublishedExpert | CorrelatedReader,
) -> None:
    for value in (0, 1):
        for shape, spacing in (((6, 16, 16), SPACING), ((16, 16), (1.0, 1.0))):
            truth = np.full(shape, value, dtype=np.uint8)
            labels = simulate_readers(truth, spacing, [reader], "x", "train", 1)[0]
            assert labels.shape == shape


def test_flat_images_are_read_like_volumes(a_disc: np.ndarray) -> None:
    found = [
        accuracy_by_place(
            simulate_readers(a_disc, (0.7, 0.7), CORRELATED_READERS[2:3], f"fundus-{n}", "train", 4)[0],
            a_disc,
            (0.7, 0.7),
        )
        for n in range(8)
    ]
    assert set(found[0]) == {"foreground", "background", "boundary"}
    assert np.mean([accuracy["boundary"] for accuracy in found]) > 0.985
    assert min(accuracy["foreground"] for accuracy in found) < 0.98
    assert np.isnan(accuracy_by_place(np.zeros((4, 4)), np.zeros((4, 4), np.uint8), (1, 1))["foreground"])


def test_a_field_is_the_same_on_any_grid() -> None:
    field = SmoothField(5.0, 3, np.random.default_rng(3))
    points = np.random.default_rng(0).uniform(0, 200, (20000, 3))
    values = field.at(points)
    assert np.array_equal(field.at(points[100:200]), values[100:200])
    assert values.mean() == pytest.approx(0, abs=0.1) and values.std() == pytest.approx(1, abs=0.1)
    moved = field.at(points + np.array([5.0, 0, 0]))
    assert np.corrcoef(values, moved)[0, 1] == pytest.approx(np.exp(-0.5), abs=0.1)


def test_settings_that_make_no_sense_are_refused(a_liver: np.ndarray) -> None:
    with pytest.raises(ValueError, match="spacing"):
        simulate_readers(a_liver, (1.0, 1.0), correlated_readers(1), "x", "train", 1)
    with pytest.raises(ValueError, match="no name twice"):
        simulate_readers(a_liver, SPACING, [SIMILAR[0], SIMILAR[0]], "x", "train", 1)
    with pytest.raises(ValueError, match=r"expected 0\.\.255"):
        simulate_readers(a_liver.astype(np.int16) * 300, SPACING, [SIMILAR[0]], "x", "train", 1)
    with pytest.raises(ValueError, match="probability outside"):
        CorrelatedReader("r", miss_probability=1.5)
    with pytest.raises(ValueError, match="accuracies outside"):
        PublishedExpert("r", 1.2, 0.5, 0.0)
