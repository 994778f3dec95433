"""Cases on unusual grids, DICOM series made with pydicom, and cases of those series."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.volume import Volume, read_volume, sha256_of_voxels
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = (1, 0, 0, 0, 1, 0)
SAGITTAL = (0, 1, 0, 0, 0, -1)
OBLIQUE = (0.8, 0.6, 0, -0.36, 0.48, -0.8)
ORIENTATIONS = {"axial": AXIAL, "sagittal": SAGITTAL, "oblique": OBLIQUE}

WriteSeries = Callable[..., Path]
WriteCase = Callable[..., Case]


@pytest.fixture(params=["oblique", "left-handed", "sagittal", "nearly a half turn"])
def a_grid(request: pytest.FixtureRequest, an_oblique_grid: Geometry, a_left_handed_grid: Geometry) -> Geometry:
    """Grids on which careless exporters go wrong."""
    turn = math.pi - 3e-4  # the quaternion of NIfTI loses its digits here
    half_turn = (math.cos(turn), -math.sin(turn), 0, math.sin(turn), math.cos(turn), 0, 0, 0, 1)
    return {
        "oblique": an_oblique_grid,
        "left-handed": a_left_handed_grid,
        "sagittal": Geometry((9, 8, 7), (0.9, 0.7, 4.0), (12.5, -80.0, 33.3), (0, 0, 1, 1, 0, 0, 0, -1, 0)),
        "nearly a half turn": Geometry((9, 8, 7), (35.0, 40.0, 60.0), (-120.5, 33.0, 410.25), half_turn),
    }[request.param]


def blobs(shape: tuple[int, int, int], seed: int = 5) -> np.ndarray:
    """Probabilities uint8 [2, k, j, i] of two lumpy structures that touch each other and the volume's border."""
    random = np.random.default_rng(seed)
    noise = random.integers(0, 256, (2, *shape)).astype(np.float64)
    for axis in (1, 2, 3):
        noise = (noise + np.roll(noise, 1, axis)) / 2
    lowest, highest = noise.min(), noise.max()
    return np.rint(255 * (noise - lowest) / (highest - lowest)).astype(np.uint8)


@pytest.fixture
def case_on(write_a_case: WriteCase, tmp_path: Path) -> Callable[..., Case]:
    """A function that writes a case of lumpy structures on a grid, or of a volume; more values go to `write_case`."""

    def write(place: Geometry | Volume, name: str = "case", **changes: Any) -> Case:
        volume = place
        if isinstance(place, Geometry):
            image = np.random.default_rng(7).integers(-1000, 1000, place.shape).astype(np.int16)
            volume = Volume(image, place, "CT", sha256_of_voxels(image), "")
        settings = {"min_region_ml": 0.0, "min_region_voxels": 2, "budget": 0.2}
        values = {"probability": blobs(volume.geometry.shape), "settings": settings}
        return write_a_case(tmp_path / name, volume, **(values | changes))

    return write


@pytest.fixture
def a_case(case_on: Callable[..., Case], an_oblique_grid: Geometry) -> Case:
    """A case of two lumpy structures on an oblique grid, with deferral regions."""
    return case_on(an_oblique_grid)


@pytest.fixture
def a_case_on_a_grid(case_on: Callable[..., Case], a_grid: Geometry) -> Case:
    """A case on each of the grids."""
    return case_on(a_grid)


@pytest.fixture
def write_series() -> WriteSeries:
    """A function that writes a CT series of tiny slices; file names are not in the order of positions."""

    def write(
        folder: Path,
        orientation: Sequence[float] = AXIAL,
        count: int = 7,
        step: float = 2.5,
        seed: int = 0,
        change: Callable[[int, Dataset], None] = lambda n, image: None,
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        study, series, frame = generate_uid(), generate_uid(), generate_uid()
        normal = np.cross(orientation[:3], orientation[3:])
        random = np.random.default_rng(seed)
        for n in range(count):
            meta = FileMetaDataset()
            meta.MediaStorageSOPClassUID = CTImageStorage
            meta.MediaStorageSOPInstanceUID = generate_uid()
            meta.TransferSyntaxUID = ExplicitVRLittleEndian
            image = Dataset()
            image.file_meta = meta
            image.SpecificCharacterSet = "ISO_IR 100"
            image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
            image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
            image.PatientID, image.PatientName = "12345", "Müller^Jürgen"
            image.PatientBirthDate, image.PatientSex = "19700101", "M"
            image.StudyDate, image.StudyTime, image.AccessionNumber, image.StudyID = "20260102", "030405", "A1", "S1"
            image.ReferringPhysicianName, image.SeriesDescription = "", "Abdomen"
            image.SeriesNumber, image.InstanceNumber, image.Modality = 3, n + 1, "CT"
            image.Rows, image.Columns, image.PixelSpacing, image.SliceThickness = 6, 9, [0.75, 1.25], 5.0
            image.ImageOrientationPatient = [float(v) for v in orientation]
            image.ImagePositionPatient = [float(v) for v in np.array([-120.0, -95.5, 30.25]) + n * step * normal]
            image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
            image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
            image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, -1024, "HU"
            image.PixelData = random.integers(0, 4000, (6, 9)).astype("<u2").tobytes()
            change(n, image)
            image.save_as(folder / f"image{n * 11 % count:03d}.dcm", enforce_file_format=True)
        return folder

    return write


@pytest.fixture
def a_series(write_series: WriteSeries, tmp_path: Path) -> Path:
    """A folder with an axial CT series."""
    return write_series(tmp_path / "dicom")


@pytest.fixture
def a_case_of_the_series(case_on: Callable[..., Case], a_series: Path) -> Case:
    """A case that was made from that series."""
    return case_on(read_volume(a_series))
