"""Data sets of pictures: MedSAM's arrays and the Chákṣu photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.engine.datasets import LoadedSlice, Subject, open_dataset
from numpy.typing import NDArray

H, W = 6, 8
EXPERTS = tuple(f"Expert {n}" for n in range(1, 6))


def load(subject: Subject) -> LoadedSlice:
    picture = subject.load()
    assert isinstance(picture, LoadedSlice)
    return picture


def write_slice(folder: Path, name: str, image: NDArray[np.generic] | None = None, label: int = 1) -> None:
    for part in ("imgs", "gts"):
        (folder / part).mkdir(exist_ok=True)
    gray = np.linspace(0, 1, H * W).reshape(H, W, 1).repeat(3, axis=2)
    labels = np.zeros((H, W), np.uint8)
    labels[1, 2:5] = label
    np.save(folder / "imgs" / f"{name}.npy", gray if image is None else image)
    np.save(folder / "gts" / f"{name}.npy", labels)


def test_medsam_slices_of_a_patient_stay_together(tmp_path: Path) -> None:
    for patient in range(1, 11):
        for number in (3, 12):
            write_slice(tmp_path, f"CT_Abd_FLARE22_Tr_{patient:04d}-{number:03d}")

    data = open_dataset("medsam", tmp_path)

    patients = {split: {s.patient for s in data.subjects(split)} for split in ("train", "validation", "test")}
    assert {split: len(names) for split, names in patients.items()} == {"train": 6, "validation": 2, "test": 2}
    assert not patients["train"] & patients["test"] and not patients["validation"] & patients["test"]
    assert all(len(data.subjects(split)) == 2 * len(names) for split, names in patients.items())
    assert "CT_Abd_FLARE22_Tr_0001" in set.union(*patients.values())


def test_a_medsam_slice_comes_with_channels_first_and_its_labels(tmp_path: Path) -> None:
    write_slice(tmp_path, "MR_T2-prostate_Case00-007", label=2)
    (tmp_path / "classes.txt").write_text("gland\n\nlesion\n", encoding="utf-8")
    (tmp_path / "imgs" / "._MR_T2-prostate_Case00-007.npy").write_bytes(b"resource fork")

    data = open_dataset("medsam", tmp_path)
    (subject,) = data.subjects()
    picture = load(subject)

    assert data.planar and data.classes == ("gland", "lesion")
    assert subject.patient == "MR_T2-prostate_Case00" and subject.modality == "MR"
    assert picture.image.shape == (3, H, W) and picture.image.dtype == np.float32
    assert picture.image[:, 0, 1] == pytest.approx(1 / (H * W - 1)) and picture.image.max() == 1
    assert picture.truth[1, 2] == 2 and picture.truth.sum() == 6


def test_no_seed_moves_a_training_patient_into_the_test_split(tmp_path: Path) -> None:
    for patient in range(12):
        write_slice(tmp_path, f"CT_{patient:03d}-000")

    splits = [{s.id: s.split for s in open_dataset("medsam", tmp_path, seed=n).subjects()} for n in (2023, 7)]

    assert splits[0] == splits[1]
    assert [name for name, split in splits[0].items() if split == "test"] == ["CT_004-000", "CT_009-000"]


def test_a_label_without_a_name_is_refused_with_a_way_out(tmp_path: Path) -> None:
    write_slice(tmp_path, "CT_1-000", label=3)

    with pytest.raises(BadInputError, match=r"CT_1-000\.npy.*labels 3, expected.*0 to 1 .*classes\.txt"):
        open_dataset("medsam", tmp_path).subjects()[0].load()


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.full((H, W, 3), 7, np.uint8), r"uint8 of shape .*expected float of \(H, W, 3\)"),
        (np.full((H, W), 0.5), r"expected float of \(H, W, 3\)"),
        (np.full((H, W, 3), 1.5), "pixels of 1.5 to 1.5, expected 0 to 1"),
        (np.full((H, W, 3), np.nan), "pixels of nan"),
        (np.full((H + 1, W, 3), 0.5), r"gts/CT_1-000\.npy.*expected that of its image"),
        (np.array([{}], dtype=object), "cannot be read as a .npy array"),
    ],
)
def test_a_medsam_image_that_is_no_picture_is_refused(
    tmp_path: Path, image: NDArray[np.generic], sentence: str
) -> None:
    write_slice(tmp_path, "CT_1-000", image)

    with pytest.raises(BadInputError, match=sentence):
        open_dataset("medsam", tmp_path).subjects()[0].load()


def test_a_medsam_folder_must_be_whole(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match='no "imgs" folder'):
        open_dataset("medsam", tmp_path)
    write_slice(tmp_path, "CT_1-000")
    (tmp_path / "gts" / "CT_1-000.npy").unlink()
    with pytest.raises(BadInputError, match=r"CT_1-000\.npy.*has no mask"):
        open_dataset("medsam", tmp_path)


def disc_of(*rows: int) -> NDArray[np.uint8]:
    mask = np.zeros((H, W), np.uint8)
    mask[list(rows), 2:6] = 255
    return mask


def write_picture(path: Path, array: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=array.ndim == 3), str(path))


def write_photograph(half: Path, camera: str, name: str) -> None:
    """A photograph whose disc is rows 1 to 4 for experts 1 to 3 and rows 1 to 5 for 4 and 5; the cup is row 2."""
    colors = np.zeros((H, W, 3), np.uint8)
    colors[..., 0], colors[0, 0] = 204, (255, 0, 51)
    stem = Path(name).stem
    write_picture(half / "1.0_Original_Fundus_Images" / camera / name, colors)
    for n, expert in enumerate(EXPERTS):
        masks = half / "3.0_Doctors_Annotations_Binary_OD_OC" / expert / camera
        cup = "cup" if n == 2 else "Cup"
        write_picture(masks / "Disc" / f"{stem}.tif", disc_of(1, 2, 3, 4, *((5,) if n > 2 else ())))
        write_picture(masks / cup / f"{stem}.tif", disc_of(2))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for name in ("P11_image_1.png", "P11_image_2.png", "P12_image_1.png", "Image101.PNG"):
        write_photograph(tmp_path / "Train", "Bosch", name)
    write_photograph(tmp_path / "Train", "Remidio", "IMG_1.png")
    write_photograph(tmp_path / "Test", "Bosch", "p12_image2.png")
    return tmp_path


def test_chaksu_splits_as_published_and_keeps_a_test_patient_out_of_training(photographs: Path) -> None:
    data = open_dataset("chaksu", photographs, validation_every=2)

    assert {s.id: s.split for s in data.subjects()} == {
        "Test/Bosch/p12_image2": "test",
        "Train/Bosch/Image101": "train",
        "Train/Bosch/P11_image_1": "train",
        "Train/Bosch/P11_image_2": "train",
        "Train/Remidio/IMG_1": "validation",
    }
    assert len({s.patient for s in data.subjects() if "P11" in s.id}) == 1


def test_a_photograph_has_colors_five_readers_and_their_majority(photographs: Path) -> None:
    data = open_dataset("chaksu", photographs)
    picture = load(data.subjects("test")[0])

    assert data.planar and data.classes == ("optic disc rim", "optic cup")
    assert picture.image.shape == (3, H, W)
    assert picture.image[:, 0, 0] == pytest.approx([1, 0, 0.2]) and picture.image[0, 3, 3] == pytest.approx(0.8)
    assert [reading.name for reading in picture.readings] == list(EXPERTS)
    assert picture.readings[4].labels[5, 3] == 1 and picture.readings[0].labels[5, 3] == 0
    assert picture.truth[:, 3].tolist() == [0, 1, 2, 1, 1, 0]


def test_chaksu_may_be_unpacked_one_folder_too_deep(photographs: Path) -> None:
    (photographs / "Train").rename(photographs / "inner")
    (photographs / "Train").mkdir()
    (photographs / "inner").rename(photographs / "Train" / "Train")

    assert len(open_dataset("chaksu", photographs).subjects()) == 5


def test_a_photograph_without_an_experts_mask_is_named(photographs: Path) -> None:
    cup = photographs / "Train/3.0_Doctors_Annotations_Binary_OD_OC/Expert 3/Bosch/cup/Image101.tif"
    cup.unlink()

    with pytest.raises(BadInputError, match=r"Image101\.PNG.*expected \".*Expert 3/Bosch/cup/Image101\.tif"):
        open_dataset("chaksu", photographs)


def test_an_experts_mask_of_another_size_is_refused(photographs: Path) -> None:
    disc = photographs / "Test/3.0_Doctors_Annotations_Binary_OD_OC/Expert 2/Bosch/Disc/p12_image2.tif"
    write_picture(disc, np.zeros((W, H), np.uint8))

    with pytest.raises(BadInputError, match=r"Expert 2.*has 6x8 pixels, but .*p12_image2\.png.* has 8x6"):
        open_dataset("chaksu", photographs).subjects("test")[0].load()


def test_a_gray_or_damaged_photograph_is_refused(photographs: Path) -> None:
    image = photographs / "Test/1.0_Original_Fundus_Images/Bosch/p12_image2.png"
    write_picture(image, np.zeros((H, W), np.uint8))
    subject = open_dataset("chaksu", photographs).subjects("test")[0]

    with pytest.raises(BadInputError, match=r"p12_image2\.png.*expected 8-bit colors"):
        subject.load()
    image.write_bytes(b"no picture")
    with pytest.raises(BadInputError, match=r"p12_image2\.png.*cannot be read"):
        subject.load()


def test_a_folder_without_photographs_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no Chaksu data, expected Train/1\.0_Original_Fundus_Images"):
        open_dataset("chaksu", tmp_path)
    (tmp_path / "Train" / "1.0_Original_Fundus_Images").mkdir(parents=True)
    with pytest.raises(BadInputError, match=r"another layout, expected .*3\.0_Doctors"):
        open_dataset("chaksu", tmp_path)
