"""Connected pieces of sparse voxels against SimpleITK's dense labeling."""

import numpy as np
import SimpleITK as sitk
from DeferredSegSlicerLib.core.pieces import connected, find_runs
from hypothesis import given, settings
from hypothesis import strategies as st


def pieces_of(labels):
    """Sets of flat indices, one for each connected piece of a label volume, 0 being background."""
    indices = np.flatnonzero(labels)
    classes = labels.reshape(-1)[indices]
    runs = find_runs(indices, classes, labels.shape)
    of_run = classes[runs.start[:-1]] if len(runs) else classes
    same = of_run[runs.links[0]] == of_run[runs.links[1]]
    piece = np.repeat(connected(len(runs), runs.links[:, same]), np.diff(runs.start))
    return {frozenset(indices[piece == n].tolist()) for n in np.unique(piece)}


def pieces_by_simpleitk(labels):
    found = set()
    for value in np.unique(labels[labels > 0]):
        image = sitk.GetImageFromArray((labels == value).astype(np.uint8))
        parts = sitk.GetArrayFromImage(sitk.ConnectedComponent(image, True)).reshape(-1)
        found |= {frozenset(np.flatnonzero(parts == n).tolist()) for n in range(1, parts.max() + 1)}
    return found


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 6), st.integers(1, 7), st.integers(1, 9)),
    st.sampled_from([0.05, 0.2, 0.5, 0.95]),
)
def test_pieces_are_those_of_simpleitk(seed, shape, density):
    generator = np.random.default_rng(seed)
    labels = generator.integers(1, 4, shape) * (generator.random(shape) < density)
    assert pieces_of(labels) == pieces_by_simpleitk(labels)


def test_a_long_winding_piece_is_one():
    labels = np.zeros((1, 41, 60), dtype=int)
    labels[0, ::2] = 1
    labels[0, 1::4, -1] = 1
    labels[0, 3::4, 0] = 1
    assert len(pieces_of(labels)) == 1


def test_a_row_does_not_touch_the_start_of_the_next():
    labels = np.zeros((2, 3, 4), dtype=int)
    labels[0, 0, 3] = labels[0, 1, 0] = 1
    labels[0, 2, 3] = 1
    assert len(pieces_of(labels)) == 3
    labels[1, 0, 0] = 1  # follows the last voxel of the slice before, and touches (0, 1, 0)
    assert {len(p) for p in pieces_of(labels)} == {1, 2}


def test_no_voxels_have_no_pieces():
    assert pieces_of(np.zeros((2, 2, 2), dtype=int)) == set()
