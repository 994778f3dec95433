"""LIDC: the masks of several readers on the grid of the DICOM series that they read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.engine.datasets import LoadedCase, open_dataset
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

ROWS, COLUMNS, SLICES = 6, 9, 4
ORIGIN, STEP = (-120.0, -95.5, 30.25), 2.5
NODULE = (2, 4, 7)
"""Slice (from the lowest), row and column of the one bright voxel."""


def write_series(folder: Path) -> None:
    """An axial CT of air with one bright voxel, its files named from the highest slice to the lowest."""
    folder.mkdir(parents=True)
    series, frame = generate_uid(), generate_uid()
    for n in range(SLICES):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image = Dataset()
        image.file_meta = meta
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        image.SeriesInstanceUID, image.FrameOfReferenceUID, image.Modality = series, frame, "CT"
        image.Rows, image.Columns, image.PixelSpacing = ROWS, COLUMNS, [0.75, 1.25]
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.ImagePositionPatient = [ORIGIN[0], ORIGIN[1], ORIGIN[2] + n * STEP]
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
        image.RescaleSlope, image.RescaleIntercept = 1, -1024
        pixels = np.full((ROWS, COLUMNS), 24, "<u2")
        if n == NODULE[0]:
            pixels[NODULE[1:]] = 1100
        image.PixelData = pixels.tobytes()
        image.save_as(folder / f"{SLICES - n:03d}.dcm", enforce_file_format=True)


def marked(*columns: int) -> NDArray[np.uint8]:
    """A reader's mask of some columns in the row and slice of the nodule."""
    mask = np.zeros((SLICES, ROWS, COLUMNS), np.uint8)
    mask[NODULE[0], NODULE[1], list(columns)] = 1
    return mask


def write_mask(path: Path, mask: NDArray[np.uint8], origin: tuple[float, float, float] = ORIGIN) -> sitk.Image:
    image = sitk.GetImageFromArray(mask)
    image.SetSpacing((1.25, 0.75, STEP))
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path))
    return image


@pytest.fixture
def a_patient(tmp_path: Path) -> Path:
    """LIDC-IDRI-0001 with four readers; all mark column 7, two mark 6, one marks 5."""
    place = tmp_path / "LIDC-IDRI-0001"
    write_series(place / "dicom")
    for number, columns in enumerate([(7,), (6, 7), (7, 6), (7, 5)], 1):
        write_mask(place / f"rater{number}.nii.gz", marked(*columns))
    (place / "contours.json").write_text("{}", encoding="utf-8")
    return place


def the_case(patient: Path) -> LoadedCase:
    (subject,) = open_dataset("lidc", patient.parent).subjects("test")
    case = subject.load()
    assert isinstance(case, LoadedCase)
    return case


def test_every_reader_marks_the_voxel_that_is_bright_in_the_series(a_patient: Path) -> None:
    case = the_case(a_patient)

    assert case.volume.modality == "CT" and case.volume.image.max() == 76
    assert [reading.name for reading in case.readings] == ["rater1", "rater2", "rater3", "rater4"]
    for reading in case.readings:
        assert reading.labels.shape == case.volume.image.shape
        assert reading.labels[case.volume.image == 76].all()


def test_the_truth_is_what_at_least_half_of_the_readers_marked(a_patient: Path) -> None:
    assert np.array_equal(the_case(a_patient).truth, marked(6, 7))


def test_with_three_readers_two_decide(a_patient: Path) -> None:
    (a_patient / "rater3.nii.gz").unlink()

    assert np.array_equal(the_case(a_patient).truth, marked(7))


def test_readers_are_in_the_order_of_their_numbers(a_patient: Path) -> None:
    write_mask(a_patient / "rater10.nii.gz", marked(8))

    assert the_case(a_patient).readings[4].name == "rater10"


def test_a_reading_stored_from_top_to_bottom_still_lands_on_the_nodule(a_patient: Path) -> None:
    image = write_mask(a_patient / "rater1.nii.gz", marked(7))
    sitk.WriteImage(sitk.Flip(image, (True, False, True)), str(a_patient / "rater1.nii.gz"))

    assert np.array_equal(the_case(a_patient).readings[0].labels, marked(7))


def test_a_reading_on_another_grid_is_refused(a_patient: Path) -> None:
    write_mask(a_patient / "rater2.nii.gz", marked(7), (ORIGIN[0], ORIGIN[1], ORIGIN[2] + STEP))

    with pytest.raises(BadInputError, match=r"rater2\.nii\.gz.*does not lie on the voxels.*dicom.*origin"):
        the_case(a_patient)
