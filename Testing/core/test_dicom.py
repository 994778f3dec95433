"""Reading DICOM folders: positions against pydicom's tags, and the folders that are no regular volume."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core.dicom import list_series
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.volume import read_volume
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    RLELossless,
    RTStructureSetStorage,
    generate_uid,
)

AXIAL = (1, 0, 0, 0, 1, 0)
SAGITTAL = (0, 1, 0, 0, 0, -1)
CORONAL = (1, 0, 0, 0, 0, -1)
OBLIQUE = (0.8, 0.6, 0, -0.36, 0.48, -0.8)
ROWS, COLUMNS = 6, 9


def name_of(n: int, count: int = 7) -> str:
    """File name of the n-th slice; names are not in the order of positions."""
    return f"image{n * 11 % count:03d}.dcm"


def write_series(
    folder: Path,
    orientation: Sequence[float] = AXIAL,
    count: int = 7,
    step: float = 2.5,
    modality: str = "CT",
    uid: str | None = None,
    change: Callable[[int, Dataset], None] = lambda n, image: None,
    names: Sequence[str] | None = None,
    seed: int = 0,
) -> Path:
    """A series of tiny slices, in a scrambled order of file names; `change` edits the n-th slice before it is saved."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = generate_uid() if uid is None else uid
    frame = generate_uid()
    normal = np.cross(orientation[:3], orientation[3:])
    random = np.random.default_rng(seed)
    for n in range(count):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image = Dataset()
        image.file_meta = meta
        image.SOPClassUID = meta.MediaStorageSOPClassUID
        image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        image.SeriesInstanceUID = uid
        image.FrameOfReferenceUID = frame
        image.PatientID, image.PatientName, image.PatientBirthDate = "12345", "Doe^Jane", "19700101"
        image.SeriesNumber, image.InstanceNumber, image.SeriesDescription = 3, n + 1, "Doe abdomen"
        image.Modality = modality
        image.Rows, image.Columns = ROWS, COLUMNS
        image.PixelSpacing = [0.75, 1.25]
        image.SliceThickness = 5.0
        image.SpacingBetweenSlices = 7.0
        image.ImageOrientationPatient = [float(v) for v in orientation]
        image.ImagePositionPatient = [float(v) for v in np.array([-120.0, -95.5, 30.25]) + n * step * normal]
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
        if modality == "CT":
            image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, -1024, "HU"
        image.PixelData = random.integers(0, 4000, (ROWS, COLUMNS)).astype("<u2").tobytes()
        change(n, image)
        name = names[n] if names else name_of(n, count)
        image.save_as(folder / name, enforce_file_format=True)
    return folder


def sentence_for(folder: Path, series: str | int | None = None) -> str:
    """The one sentence with which a folder is refused, without a patient's name in it."""
    with pytest.raises(BadInputError) as refused:
        read_volume(folder, series)
    text = str(refused.value)
    assert "\n" not in text and "Doe" not in text and "12345" not in text
    return text


@pytest.fixture
def a_folder(tmp_path) -> Path:
    return tmp_path / "scan"


def assert_each_voxel_lies_where_pydicom_says(folder: Path) -> None:
    """Every pixel's value and LPS position (DICOM PS3.3 C.7.6.2.1.1) against the volume's."""
    volume = read_volume(folder)
    seen = 0
    for file in folder.rglob("*.dcm"):
        image = pydicom.dcmread(file)
        values = image.pixel_array.astype(float) * float(image.get("RescaleSlope", 1)) + float(
            image.get("RescaleIntercept", 0)
        )
        axes = np.array(image.ImageOrientationPatient, float)
        for row in range(image.Rows):
            for column in range(image.Columns):
                lps = (
                    np.array(image.ImagePositionPatient, float)
                    + axes[:3] * float(image.PixelSpacing[1]) * column
                    + axes[3:] * float(image.PixelSpacing[0]) * row
                )
                ijk = volume.geometry.ijk_of(lps * (-1, -1, 1))
                i, j, k = np.rint(ijk).astype(int)
                assert np.allclose(ijk, (i, j, k), atol=1e-4)
                assert volume.image[k, j, i] == pytest.approx(values[row, column])
                seen += 1
    assert seen == volume.image.size


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, CORONAL, OBLIQUE])
@pytest.mark.parametrize("step", [2.5, -2.5])
def test_every_voxel_lies_where_its_tags_say(a_folder, orientation, step):
    assert_each_voxel_lies_where_pydicom_says(write_series(a_folder, orientation, step=step))
    volume = read_volume(a_folder)
    assert volume.image.dtype == np.int16
    assert not volume.geometry.is_left_handed
    assert volume.modality == "CT" and volume.sha256


def test_the_slice_distance_comes_from_positions_and_not_from_tags(a_folder):
    assert read_volume(write_series(a_folder)).geometry.spacing == (1.25, 0.75, 2.5)


def test_mr_values_and_a_fractional_slope_are_read(a_folder):
    def change(n, image):
        image.RescaleSlope, image.RescaleIntercept = 0.25 * (n + 1), 0.5

    write_series(a_folder, modality="MR", change=change)
    assert_each_voxel_lies_where_pydicom_says(a_folder)
    assert read_volume(a_folder).modality == "MR"
    assert read_volume(a_folder).image.dtype == np.float32


def test_names_without_extension_subfolders_and_other_files_do_not_disturb(a_folder):
    write_series(a_folder / "a" / "b", names=[f"{n}" for n in range(7)])
    (a_folder / "notes.txt").write_text("not an image")
    (a_folder / "picture.png").write_bytes(b"\x89PNG\r\n")
    (a_folder / "noise").write_bytes(b"\x08\x00" + b"\x01" * 500)
    contours = Dataset()
    contours.file_meta = FileMetaDataset()
    contours.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    contours.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    contours.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    contours.SOPClassUID, contours.Modality = RTStructureSetStorage, "RTSTRUCT"
    contours.save_as(a_folder / "contours", enforce_file_format=True)
    assert read_volume(a_folder).geometry.size == (COLUMNS, ROWS, 7)


def test_a_missing_slice_is_named_by_its_neighbors(a_folder):
    write_series(a_folder, count=9)
    for n in (3, 4, 6):
        (a_folder / name_of(n, 9)).unlink()
    text = sentence_for(a_folder)
    assert "gaps, 3 slices of 2.5 mm are missing" in text
    assert "between R 120.0 A 95.5 S 35.2 mm and R 120.0 A 95.5 S 42.8 mm (slices 3 and 4 of 6" in text
    assert "(slices 4 and 5 of 6" in text


def test_uneven_slices_are_refused(a_folder):
    def change(n, image):
        image.ImagePositionPatient = [-120.0, -95.5, 30 + 2.5 * n + (0.8 if n == 3 else 0)]

    assert "uneven" in sentence_for(write_series(a_folder, change=change))


def test_positions_rounded_by_the_scanner_are_accepted(a_folder):
    def change(n, image):
        image.ImagePositionPatient = [-120.0, -95.5, round(30 + 0.625 * n, 1)]

    volume = read_volume(write_series(a_folder, count=17, change=change))
    assert volume.geometry.spacing[2] == pytest.approx(0.625)


def test_a_slice_that_is_there_twice_is_named(a_folder):
    write_series(a_folder)
    shutil.copy(a_folder / "image000.dcm", a_folder / "copy.dcm")
    text = sentence_for(a_folder)
    assert "copy.dcm" in text and "image000.dcm" in text and "already" in text


def test_mixed_orientation_names_the_slices(a_folder):
    def change(n, image):
        if n in (2, 5):
            image.ImageOrientationPatient = [float(v) for v in SAGITTAL]

    text = sentence_for(write_series(a_folder, change=change))
    assert "mixed orientation" in text and "2 of 7" in text and "sagittal" in text and "axial" in text
    assert name_of(2) in text and name_of(5) in text


def odd_pixel_spacing(image):
    image.PixelSpacing = [0.75, 1.3]


def odd_size(image):
    image.Columns = COLUMNS - 1
    image.PixelData = np.zeros((ROWS, COLUMNS - 1), "<u2").tobytes()


def odd_patient(image):
    image.PatientID = "99999"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(odd_pixel_spacing, "different pixel spacing"), (odd_size, "different size"), (odd_patient, "different patients")],
)
def test_a_slice_that_does_not_belong_is_named(a_folder, spoil, words):
    text = sentence_for(write_series(a_folder, change=lambda n, image: spoil(image) if n == 4 else None))
    assert words in text and name_of(4) in text and "99999" not in text


def test_gantry_tilt_is_refused_with_its_angle(a_folder):
    def change(n, image):
        image.ImagePositionPatient = [-120.0, -95.5 + 2.5 * n * np.tan(np.radians(15)), 30 + 2.5 * n]

    assert "gantry tilt of about 15 degrees" in sentence_for(write_series(a_folder, change=change))


def test_several_series_are_listed_and_one_is_chosen_by_number_or_uid(a_folder):
    write_series(a_folder / "one", count=5, uid="1.2.3.4")
    write_series(a_folder / "two", count=7, uid="1.2.3.5", orientation=SAGITTAL, modality="MR", seed=1)
    text = sentence_for(a_folder)
    assert "2 series" in text and "--series" in text and "1: MR, 7 images, 9x6x7, 1.25x0.75x2.5 mm" in text
    assert [s.uid for s in list_series(a_folder)] == ["1.2.3.5", "1.2.3.4"]
    assert read_volume(a_folder, 1).geometry.size[2] == 7
    assert read_volume(a_folder, "2").geometry.size[2] == 5
    assert read_volume(a_folder, "1.2.3.4").sha256 == read_volume(a_folder / "one").sha256
    assert 'no series "3"' in sentence_for(a_folder, 3)
    assert 'no series "1.2"' in sentence_for(a_folder, "1.2")


def test_a_series_shows_no_patient_text(a_folder):
    (series,) = list_series(write_series(a_folder))
    assert "Doe" not in repr(series) + series.summary
    assert series.description == "Doe abdomen"
    assert "Doe" not in repr(read_volume(a_folder))


def test_empty_series_uids_are_grouped_by_patient_study_and_series_number(a_folder):
    write_series(a_folder / "one", uid="", count=5)
    assert_each_voxel_lies_where_pydicom_says(a_folder / "one")
    write_series(a_folder / "two", uid="", count=6, change=lambda n, image: setattr(image, "SeriesNumber", 4))
    assert [s.images for s in list_series(a_folder)] == [6, 5]
    assert read_volume(a_folder, 2).geometry.size[2] == 5


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_slices_are_unpacked_exactly(a_folder, syntax):
    def change(n, image):
        image.Rows, image.Columns = 64, 80
        image.PixelData = np.random.default_rng(n).integers(0, 4000, (64, 80)).astype("<u2").tobytes()

    write_series(a_folder, change=change)
    plain = read_volume(a_folder)
    for file in a_folder.iterdir():
        if syntax == RLELossless:
            image = pydicom.dcmread(file)
            image.compress(RLELossless, generate_instance_uid=False)
            image.save_as(file)
        else:
            writer = sitk.ImageFileWriter()
            writer.KeepOriginalImageUIDOn()
            writer.SetUseCompression(True)
            writer.SetCompressor("JPEG2000")
            writer.SetFileName(str(file))
            writer.Execute(sitk.ReadImage(str(file)))
        assert pydicom.dcmread(file).file_meta.TransferSyntaxUID == syntax
    unpacked = read_volume(a_folder)
    assert unpacked.sha256 == plain.sha256
    assert unpacked.geometry.differences_from(plain.geometry) == []


def color(image):
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    image.PixelData = bytes(ROWS * COLUMNS * 3)
    del image.RescaleSlope, image.RescaleIntercept


def several_frames(image):
    image.NumberOfFrames = 2
    image.PixelData = image.PixelData * 2


def no_position(image):
    del image.ImagePositionPatient


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(color, "in color"), (several_frames, "2 frames"), (no_position, "without position")],
)
def test_color_frames_and_lost_positions_are_refused(a_folder, spoil, words):
    assert words in sentence_for(write_series(a_folder, change=lambda n, image: spoil(image)))


def test_a_cut_off_slice_is_named(a_folder):
    write_series(a_folder)
    file = a_folder / "image003.dcm"
    file.write_bytes(file.read_bytes()[:-60])
    assert "image003.dcm" in sentence_for(a_folder)
    file.write_bytes(file.read_bytes()[:400])
    assert "image003.dcm" in sentence_for(a_folder)


def test_a_folder_without_images_and_a_single_file_are_refused(a_folder):
    a_folder.mkdir()
    assert "no DICOM images" in sentence_for(a_folder)
    write_series(a_folder)
    assert "give the folder" in sentence_for(a_folder / "image001.dcm")


def test_one_slice_takes_its_thickness(a_folder):
    assert read_volume(write_series(a_folder, count=1)).geometry.spacing == (1.25, 0.75, 5.0)
