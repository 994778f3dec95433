"""Closing of several experts' voxels at once against SimpleITK's, one expert at a time."""

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core.closing import closed_in
from hypothesis import given, settings
from hypothesis import strategies as st


def added_by_simpleitk(mask, axis):
    """Voxels that an in-plane 3 x 3 closing adds, on a grid padded so that the border plays no part."""
    radius = [1, 1, 1]
    radius[2 - axis] = 0
    image = sitk.GetImageFromArray(np.pad(mask, 3).astype(np.uint8))
    grown = sitk.BinaryDilate(image, radius, sitk.sitkBox)
    result = sitk.GetArrayFromImage(sitk.BinaryErode(grown, radius, sitk.sitkBox))[3:-3, 3:-3, 3:-3]
    return (result > 0) & ~mask


@pytest.mark.parametrize("axis", [0, 1, 2])
@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 9)),
    st.sampled_from([2, 12]),
)
def test_closing_adds_what_simpleitk_adds(axis, seed, shape, experts):
    generator = np.random.default_rng(seed)
    owner = np.where(generator.random(shape) < 0.35, generator.integers(0, experts, shape), -1)
    indices = np.flatnonzero(owner >= 0)
    cells, bits = closed_in(indices, owner.reshape(-1)[indices].astype(np.uint8), shape, axis)
    for expert in range(experts):
        expected = np.flatnonzero(added_by_simpleitk(owner == expert, axis))
        assert np.array_equal(cells[(bits >> expert) & 1 == 1], expected)


def test_nothing_is_added_to_nothing():
    cells, bits = closed_in(np.empty(0, np.int32), np.empty(0, np.uint8), (3, 4, 5), 0)
    assert len(cells) == 0 and len(bits) == 0
