"""Who is in which split, what a data set refuses, and the slices of a volume."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.volume import Volume
from DeferredSegSlicerLib.engine.datasets import (
    Dataset,
    LoadedCase,
    LoadedSlice,
    Reading,
    Split,
    Subject,
    open_dataset,
    slices_of,
)
from DeferredSegSlicerLib.engine.datasets.splits import SplitRule, every_fifth


def nothing() -> LoadedCase:
    raise AssertionError("a subject was read")


def a_subject(identifier: str, patient: str, split: Split = "train") -> Subject:
    return Subject(identifier, patient, split, "CT", nothing)


def a_dataset(*subjects: Subject) -> Dataset:
    return Dataset("Toy", "toy", ("a",), False, "none", "none", subjects)


def test_every_fifth_patient_that_does_not_test_validates_from_the_third_on() -> None:
    patients = [f"p{n:02d}" for n in range(14)]

    split = SplitRule(5).divide(reversed(patients), {"p00", "p03"})

    assert [p for p in patients if split[p] == "validation"] == ["p04", "p09"]
    assert [p for p in patients if split[p] == "test"] == ["p00", "p03"]


def test_without_a_published_split_every_fifth_patient_tests() -> None:
    patients = [f"Case{n:02d}" for n in range(12)]

    assert every_fifth([*reversed(patients), "Case00"]) == {"Case04", "Case09"}
    assert every_fifth(patients[:4]) == set()


def test_validation_needs_every_second_patient_at_most(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="validation_every is 1, expected at least 2"):
        open_dataset("sts", tmp_path, validation_every=1)


def test_an_image_stored_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "STS_001").mkdir()
    for name in ("CT_image.nii.gz", "CT_image.nii", "CT_mask.nii.gz"):
        (tmp_path / "STS_001" / name).touch()

    with pytest.raises(BadInputError, match=r"CT_image\.nii\.gz.*CT_image\.nii.*the same image"):
        open_dataset("sts", tmp_path)


def test_two_images_of_one_name_are_refused() -> None:
    with pytest.raises(BadInputError, match='two images called "x/CT"'):
        a_dataset(a_subject("x/CT", "x"), a_subject("x/CT", "x"))


def test_a_patient_in_two_splits_is_refused() -> None:
    with pytest.raises(BadInputError, match=r'patient "x".*train and test'):
        a_dataset(a_subject("x/CT", "x"), a_subject("x/MR", "x", "test"))


def test_subjects_come_sorted_and_unread() -> None:
    data = a_dataset(a_subject("b", "b"), a_subject("a", "a", "test"))

    assert [s.id for s in data.subjects()] == ["a", "b"]
    assert [s.id for s in data.subjects("test")] == ["a"] and data.subjects("validation") == []


def test_a_subject_can_be_sent_to_another_process(tmp_path: Path) -> None:
    place = tmp_path / "STS_001"
    place.mkdir()
    for name, array in (("CT_image", np.arange(24.0, dtype=np.float32)), ("CT_mask", np.arange(24) % 2)):
        sitk.WriteImage(sitk.GetImageFromArray(array.reshape(2, 3, 4)), str(place / f"{name}.nii.gz"))
    (subject,) = open_dataset("sts", tmp_path).subjects()

    assert pickle.loads(pickle.dumps(subject)).load().truth.sum() == 12


def test_labels_of_another_shape_than_the_image_are_refused() -> None:
    volume = Volume(np.zeros((2, 3, 4), np.int16), Geometry((4, 3, 2), (1.0, 1.0, 1.0)))
    truth = np.zeros((2, 3, 4), np.uint8)

    with pytest.raises(BadInputError, match=r"truth is uint8 of shape \(4, 3, 2\)"):
        LoadedCase(volume, truth.T)
    with pytest.raises(BadInputError, match='reading of "r" is int16'):
        LoadedCase(volume, truth, (Reading("r", truth.astype(np.int16)),))  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match=r"expected float32 of \(3, H, W\)"):
        LoadedSlice(np.zeros((2, 3, 3), np.float32), np.zeros((2, 3), np.uint8))


@pytest.fixture
def a_ct() -> LoadedCase:
    """Five axial slices of 12 x 20 voxels, brighter to the left; two of them have labels, and one reader."""
    image = np.broadcast_to(np.linspace(-160, 240, 20, dtype=np.float32), (5, 12, 20)).copy()
    image[2] = 40.0
    image[2, 0, 0] = 140.0
    truth = np.zeros(image.shape, np.uint8)
    truth[1, 3:9, 4:10], truth[2, 3:6, 4:10], truth[2, 6:9, 4:10] = 1, 1, 2
    volume = Volume(image, Geometry((20, 12, 5), (1.0, 1.0, 4.0)), "CT")
    return LoadedCase(volume, truth, (Reading("r", (truth > 0).astype(np.uint8)),))


def test_slices_with_a_label_become_square_pictures_in_gray_from_0_to_1(a_ct: LoadedCase) -> None:
    pictures = list(slices_of(a_ct, size=40))

    assert len(pictures) == 2
    for picture in pictures:
        assert picture.image.shape == (3, 40, 40) and picture.image.dtype == np.float32
        assert picture.image.min() == 0 and picture.image.max() == 1
        assert np.array_equal(picture.image[0], picture.image[2])
    assert np.all(np.diff(pictures[0].image[0, 20]) >= 0)
    assert set(np.unique(pictures[1].truth)) == {0, 1, 2}
    assert np.isclose(np.mean(pictures[0].truth > 0), np.mean(a_ct.truth[1] > 0))
    assert np.array_equal(pictures[1].readings[0].labels, pictures[1].truth > 0)


def test_a_window_that_is_asked_for_decides_what_becomes_white(a_ct: LoadedCase) -> None:
    plain, narrow = (next(iter(slices_of(a_ct, 40, window))) for window in (None, (40.0, 40.0)))

    assert np.mean(narrow.image[0] == 1) > 0.4 > np.mean(plain.image[0] == 1)
    with pytest.raises(BadInputError, match="window"):
        next(iter(slices_of(a_ct, 40, (40.0, 0.0))))
