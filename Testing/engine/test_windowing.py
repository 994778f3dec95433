"""Windows: what becomes black and white."""

from __future__ import annotations

import numpy as np
import pytest
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.engine.windowing import Window, choose_window


def test_a_ct_is_shown_at_level_40_and_width_400():
    window = choose_window(np.zeros((2, 3, 4), np.int16), "CT")
    assert (window.low, window.high) == (-160.0, 240.0)
    gray = window.apply(np.array([[-1000, -160, 40], [240, 241, 3000]], np.int16))
    assert gray.dtype == np.float32
    np.testing.assert_allclose(gray, [[0, 0, 0.5], [1, 1, 1]])


def test_the_window_asked_for_wins_over_the_default():
    assert choose_window(np.zeros((1, 2, 2), np.int16), "CT", (-600.0, 1500.0)) == Window(-1350.0, 150.0)
    assert choose_window(np.zeros((1, 2, 2), np.int16), "MR", (100.0, 50.0)) == Window(75.0, 125.0)


@pytest.mark.parametrize("width", [0.0, -5.0, float("nan"), float("inf")])
def test_a_window_without_width_is_refused(width):
    with pytest.raises(BadInputError, match="width"):
        choose_window(np.zeros((1, 2, 2), np.int16), "CT", (40.0, width))


def test_mr_percentiles_leave_the_background_out():
    image = np.zeros((4, 100, 100), np.float32)
    image[:, 20:80, 20:80] = np.linspace(100, 1100, 3600).reshape(60, 60)
    window = choose_window(image, "MR")
    assert window.low == pytest.approx(105, abs=1)
    assert window.high == pytest.approx(1095, abs=1)


def test_a_normalized_mr_with_negative_values_keeps_its_dark_half():
    image = np.full((4, 60, 60), -2.0, np.float32)
    image[:, 10:50, 10:50] = np.linspace(-1, 3, 1600).reshape(40, 40)
    window = choose_window(image, "MR")
    assert window.low == pytest.approx(-0.98, abs=0.02)
    assert window.high == pytest.approx(2.98, abs=0.02)


def test_a_sample_of_a_large_volume_gives_nearly_the_same_percentiles_as_all_of_it():
    image = np.random.default_rng(0).gamma(2.0, 100.0, (60, 300, 300)).astype(np.int16)
    window = choose_window(image, "other")
    low, high = np.percentile(image[image > 0], (0.5, 99.5))
    assert window.low == pytest.approx(low, abs=2)
    assert window.high == pytest.approx(high, rel=0.02)


def test_a_volume_of_two_values_still_gets_a_window():
    image = np.zeros((3, 8, 8), np.uint8)
    image[1, 2:4, 2:4] = 7
    assert choose_window(image, "other") == Window(0.0, 7.0)


def test_a_scan_without_contrast_is_refused():
    with pytest.raises(BadInputError, match="no contrast"):
        choose_window(np.full((2, 4, 4), 5, np.int16), "MR")


def test_windowing_leaves_the_volume_as_it_was():
    image = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    image.setflags(write=False)
    gray = Window(0, 23).apply(image[0, ::-1])
    assert gray.flags.c_contiguous and gray[0, 0] == pytest.approx(8 / 23)
