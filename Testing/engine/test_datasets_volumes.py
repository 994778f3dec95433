"""Data sets of volumes: each kind in its true layout, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.volume import read_volume
from DeferredSegSlicerLib.engine.datasets import Dataset, LoadedCase, Subject, open_dataset
from numpy.typing import NDArray

SHAPE = (4, 5, 6)
Writer = Callable[..., Path]


def scan_of(seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-900, 900, SHAPE).astype(np.int16)


def mask_of(labels: int = 1) -> NDArray[np.uint8]:
    """Each label in a place of its own, asymmetric in all three axes."""
    mask = np.zeros(SHAPE, np.uint8)
    for label in range(1, labels + 1):
        mask.reshape(-1)[label * 7 : label * 7 + 2] = label
    return mask


def write(path: Path, array: NDArray[np.generic], origin: tuple[float, ...] = (-20.0, 30.0, -100.0)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.9, 0.9, 3.0))
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path))
    return path


def load(subject: Subject) -> LoadedCase:
    case = subject.load()
    assert isinstance(case, LoadedCase)
    return case


def splits(data: Dataset) -> dict[str, str]:
    return {subject.id: subject.split for subject in data.subjects()}


@pytest.fixture
def an_sts_folder(tmp_path: Path) -> Path:
    for number in (1, 2, 3, 4, 5, 6, 10):
        for prefix in ("CT", "MR_T1"):
            write(tmp_path / f"STS_{number:03d}" / f"{prefix}_image.nii.gz", scan_of(number).astype(np.float32))
            write(tmp_path / f"STS_{number:03d}" / f"{prefix}_mask.nii.gz", mask_of())
    (tmp_path / "STS_001" / "._CT_image.nii.gz").write_bytes(b"resource fork")
    return tmp_path


def test_sts_gives_ct_and_mr_of_a_patient_in_the_same_split(an_sts_folder: Path) -> None:
    data = open_dataset("sts", an_sts_folder)

    assert data.classes == ("tumor",) and not data.planar
    assert [s.id for s in data.subjects()][:3] == ["STS_001/CT", "STS_001/MR", "STS_002/CT"]
    assert {s.patient for s in data.subjects("test")} == {"STS_005", "STS_010"}
    assert {s.patient for s in data.subjects("validation")} == {"STS_003"}
    assert [s.modality for s in data.subjects("validation")] == ["CT", "MR"]
    assert len(data.subjects("train")) == 8


def test_sts_reads_the_scan_as_the_product_does_with_its_mask_beside_it(an_sts_folder: Path) -> None:
    case = load(open_dataset("sts", an_sts_folder).subjects()[0])

    product = read_volume(an_sts_folder / "STS_001" / "CT_image.nii.gz")
    assert case.volume.sha256 == product.sha256 and case.volume.geometry == product.geometry
    assert case.volume.modality == "CT"
    assert np.array_equal(case.truth, mask_of())


def test_a_patient_that_nobody_has_seen_joins_sts_by_its_folder_alone(an_sts_folder: Path) -> None:
    write(an_sts_folder / "STS_099" / "CT_image.nii.gz", scan_of())
    write(an_sts_folder / "STS_099" / "CT_mask.nii.gz", mask_of())

    assert splits(open_dataset("sts", an_sts_folder))["STS_099/CT"] == "train"


def test_images_are_read_only_when_asked_for(an_sts_folder: Path) -> None:
    (an_sts_folder / "STS_001" / "CT_image.nii.gz").write_bytes(b"not an image")

    data = open_dataset("sts", an_sts_folder)

    with pytest.raises(BadInputError, match=r"CT_image\.nii\.gz"):
        data.subjects()[0].load()


@pytest.mark.parametrize("names", [("imagesTr", "labelsTr"), ("images", "labels")])
def test_hippocampus_is_read_as_it_unpacks_and_as_it_is_often_renamed(tmp_path: Path, names: tuple[str, str]) -> None:
    for number in (1, 3, 4, 6, 15):
        write(tmp_path / names[0] / f"hippocampus_{number:03d}.nii.gz", scan_of(number).astype(np.float32))
        write(tmp_path / names[1] / f"hippocampus_{number:03d}.nii.gz", mask_of(2))
        (tmp_path / names[0] / f"._hippocampus_{number:03d}.nii.gz").write_bytes(b"resource fork")
    write(tmp_path / "imagesTs" / "hippocampus_002.nii.gz", scan_of())

    data = open_dataset("hippocampus", tmp_path)

    assert splits(data) == {
        "hippocampus_001": "train",
        "hippocampus_003": "train",
        "hippocampus_004": "validation",
        "hippocampus_006": "train",
        "hippocampus_015": "test",
    }
    case = load(data.subjects()[0])
    assert case.volume.modality == "MR"
    assert data.classes[int(case.truth.max()) - 1] == "posterior hippocampus"


@pytest.mark.parametrize("folders", [("training_data",), ("TrainingData_Part1", "TrainingData_Part2"), (".",)])
def test_promise12_is_found_in_all_the_folders_it_unpacks_to(tmp_path: Path, folders: tuple[str, ...]) -> None:
    for number in range(6):
        place = tmp_path / folders[number % len(folders)]
        write(place / f"Case{number:02d}.mhd", scan_of(number))
        write(place / f"Case{number:02d}_segmentation.mhd", mask_of())
    write(tmp_path / "test_data" / "Case00.mhd", scan_of(9))

    data = open_dataset("promise12", tmp_path)

    assert [s.id for s in data.subjects()] == [f"Case{number:02d}" for number in range(6)]
    assert len(data.subjects("test")) == 1 and len(data.subjects("validation")) == 1
    case = load(data.subjects()[0])
    assert np.array_equal(case.volume.image, scan_of(0)) and np.array_equal(case.truth, mask_of())


def test_lits_is_read_from_its_batches_and_passes_over_the_test_scans(tmp_path: Path) -> None:
    for number, batch in ((0, "Training Batch 1"), (2, "Training Batch 1"), (10, "Training Batch 2")):
        end = ".nii" if number else ".nii.gz"
        write(tmp_path / batch / f"volume-{number}{end}", scan_of(number))
        write(tmp_path / batch / f"segmentation-{number}{end}", mask_of(2))
    write(tmp_path / "Test" / "test-volume-0.nii", scan_of())

    data = open_dataset("lits", tmp_path)

    assert [s.id for s in data.subjects()] == ["volume-000", "volume-002", "volume-010"]
    assert data.classes == ("liver", "liver tumor")
    assert {s.modality for s in data.subjects()} == {"CT"}
    assert set(np.unique(load(data.subjects()[2]).truth)) == {0, 1, 2}


def test_amos_tells_ct_from_mr_by_number_and_tests_on_the_published_validation_scans(tmp_path: Path) -> None:
    for number, end in ((1, "Tr"), (500, "Tr"), (501, "Tr"), (4, "Va"), (507, "Va")):
        write(tmp_path / f"images{end}" / f"amos_{number:04d}.nii.gz", scan_of(number))
        write(tmp_path / f"labels{end}" / f"amos_{number:04d}.nii.gz", mask_of(15))
    write(tmp_path / "imagesTs" / "amos_0008.nii.gz", scan_of())
    (tmp_path / "dataset.json").write_text("{}", encoding="utf-8")

    data = open_dataset("amos22", tmp_path)

    assert {s.id: (s.modality, s.split) for s in data.subjects()} == {
        "amos_0001": ("CT", "train"),
        "amos_0004": ("CT", "test"),
        "amos_0500": ("CT", "train"),
        "amos_0501": ("MR", "validation"),
        "amos_0507": ("MR", "test"),
    }
    assert len(data.classes) == 15 and data.classes[5] == "liver" and data.classes[14] == "prostate or uterus"
    assert load(data.subjects()[0]).truth.max() == 15


def a_lits_pair(folder: Path, mask: NDArray[np.generic], **where: tuple[float, ...]) -> Subject:
    write(folder / "volume-1.nii", scan_of())
    write(folder / "segmentation-1.nii", mask, **where)
    return open_dataset("lits", folder).subjects()[0]


def test_a_mask_stored_along_other_axes_is_turned_by_its_physical_points(tmp_path: Path) -> None:
    subject = a_lits_pair(tmp_path, mask_of(2))
    mask = sitk.ReadImage(str(tmp_path / "segmentation-1.nii"))
    turned = sitk.Flip(sitk.PermuteAxes(mask, (2, 0, 1)), (True, False, True))
    sitk.WriteImage(turned, str(tmp_path / "segmentation-1.nii"))
    assert turned.GetSize() != mask.GetSize()

    assert np.array_equal(load(subject).truth, mask_of(2))


@pytest.mark.parametrize(
    ("mask", "where", "named"),
    [
        (mask_of(2)[:3], {}, r"segmentation-1\.nii.*volume-1\.nii.*size"),
        (mask_of(2), {"origin": (-20.0, 30.5, -100.0)}, r"segmentation-1\.nii.*volume-1\.nii.*origin"),
        (mask_of(3), {}, r"segmentation-1\.nii.*labels 3, expected whole numbers from 0 to 2"),
        (mask_of(2) * np.float32(0.5), {}, r"segmentation-1\.nii.*labels 0\.5"),
        (-mask_of(2).astype(np.int16), {}, r"segmentation-1\.nii.*labels -2, -1"),
        (np.zeros(SHAPE, np.uint8), {}, r"segmentation-1\.nii.*empty"),
    ],
)
def test_a_mask_that_does_not_fit_its_scan_is_refused_with_both_names(
    tmp_path: Path, mask: NDArray[np.generic], where: dict[str, tuple[float, ...]], named: str
) -> None:
    with pytest.raises(BadInputError, match=named):
        a_lits_pair(tmp_path, mask, **where).load()


def test_labels_stored_as_floats_are_taken_when_they_are_whole(tmp_path: Path) -> None:
    truth = load(a_lits_pair(tmp_path, mask_of(2).astype(np.float32))).truth

    assert truth.dtype == np.uint8 and np.array_equal(truth, mask_of(2))


@pytest.mark.parametrize(
    ("kind", "files", "sentence"),
    [
        ("sts", ["other/CT_image.nii.gz"], "expected folders STS_001"),
        ("sts", ["STS_001/CT_image.nii.gz"], 'expected ".*CT_mask.nii.gz"'),
        ("sts", ["STS_001/MR_T1_mask.nii.gz"], 'expected ".*MR_T1_image.nii.gz"'),
        ("sts", ["STS_001/readme.txt"], "STS_001.*no scan"),
        ("sts", ["STS_new/CT_image.nii.gz"], "STS_new.*no patient number"),
        ("hippocampus", ["imagesTr/hippocampus_001.nii.gz"], "expected imagesTr and labelsTr"),
        ("hippocampus", ["imagesTr/hippocampus_001.nii.gz", "labelsTr/x.nii.gz"], "hippocampus_001.*has no mask"),
        ("promise12", ["Case00_segmentation.mhd", "Case01.mhd"], "Case00_segmentation.mhd.*has no image"),
        ("promise12", ["a/Case00.mhd", "b/Case00.mhd"], "both called Case00"),
        ("lits", ["volume-0.nii"], "volume-0.nii.*has no mask, expected volume-N.nii with segmentation-N.nii"),
        ("lits", ["a/volume-0.nii", "b/volume-0.nii.gz", "segmentation-0.nii"], "both called 0"),
        ("lits", ["volume-0.nii", "segmentation-0.nii", "volume-00.nii", "segmentation-00.nii"], "number twice"),
        ("amos22", ["imagesTs/amos_0001.nii.gz"], "expected imagesTr and labelsTr"),
        ("amos22", ["imagesVa/amos_0001.nii.gz"], "expected both"),
        ("amos22", ["imagesTr/amos_0001.nii.gz", "labelsTr/amos_0002.nii.gz"], "amos_0001.*has no mask"),
        (
            "amos22",
            [f"{what}{end}/amos_0001.nii.gz" for what in ("images", "labels") for end in ("Tr", "Va")],
            "amos_0001.*is in imagesTr too",
        ),
        ("lidc", ["LIDC-IDRI-0001/rater1.nii.gz"], 'no "dicom" folder'),
        ("lidc", ["LIDC-IDRI-0001/dicom/1.dcm"], "expected rater1.nii.gz"),
        ("lidc", ["0001/rater1.nii.gz"], "expected folders LIDC-IDRI-0001"),
    ],
)
def test_what_is_missing_is_named_when_the_folder_is_opened(
    tmp_path: Path, kind: str, files: list[str], sentence: str
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    with pytest.raises(BadInputError, match=sentence):
        open_dataset(kind, tmp_path)


def test_an_unknown_kind_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match='"brats" is unknown, expected one of sts, hippocampus'):
        open_dataset("brats", tmp_path)
    with pytest.raises(BadInputError, match=r"nowhere.*does not exist"):
        open_dataset("sts", tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="is a file"):
        open_dataset("sts", tmp_path / "file")
