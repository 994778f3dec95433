"""Reading image files: what comes in, voxel for voxel, and what is refused in one sentence."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.volume import Volume, read_volume, sha256_of_voxels

FORMATS = ["scan.nrrd", "scan.nii", "scan.nii.gz", "scan.mha", "scan.mhd"]
OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
LEFT_HANDED = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
SAGITTAL = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


def an_image(dtype=np.int16, direction=OBLIQUE, size=(7, 6, 5), low=-1000, high=1000) -> sitk.Image:
    """A random image with i, j, k sizes that all differ."""
    voxels = np.random.default_rng(1).integers(low, high, size[::-1]).astype(dtype)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.75, 1.25, 2.5))
    image.SetOrigin((-101.5, 33.25, 410.0))
    image.SetDirection(direction)
    return image


def written(path: Path, image: sitk.Image, compress: bool = False) -> Path:
    sitk.WriteImage(image, str(path), useCompression=compress)
    return path


def sentence_for(path: Path) -> str:
    """The one sentence with which a file is refused, which names the file."""
    with pytest.raises(BadInputError) as refused:
        read_volume(path)
    text = str(refused.value)
    assert "\n" not in text and path.name in text and "itk" not in text.lower() and "Exception" not in text
    return text


def edited(path: Path, *replacements: tuple[str, str]) -> Path:
    """The same file with parts of its text header replaced."""
    content = path.read_bytes()
    for old, new in replacements:
        assert old.encode() in content
        content = content.replace(old.encode(), new.encode(), 1)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("direction", [OBLIQUE, LEFT_HANDED, SAGITTAL])
@pytest.mark.parametrize("compress", [False, True])
def test_every_format_gives_the_voxels_and_the_grid_that_were_saved(tmp_path, name, direction, compress):
    image = an_image(direction=direction)
    volume = read_volume(written(tmp_path / name, image, compress))
    assert volume.image.dtype == np.int16
    assert np.array_equal(volume.image, sitk.GetArrayFromImage(image))
    assert volume.geometry.differences_from(Geometry.of_image(image)) == []
    assert volume.modality == "CT"
    assert volume.image[4, 2, 1] == image[1, 2, 4]
    point = np.array(image.TransformIndexToPhysicalPoint((1, 2, 4))) * (-1, -1, 1)
    assert np.allclose(volume.geometry.ras_of((1, 2, 4)), point, atol=1e-4)


def test_the_checksum_is_the_same_in_every_format_and_packing(tmp_path):
    found = {
        read_volume(written(tmp_path / f"{packed}{name}", an_image(), packed)).sha256
        for name in FORMATS
        for packed in (False, True)
    }
    assert len(found) == 1 and len(found.pop()) == 64


def test_the_checksum_changes_with_one_voxel_the_shape_or_the_type():
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    changed = voxels.copy()
    changed[1, 2, 3] += 1
    versions = [voxels, changed, voxels.reshape(3, 2, 4), voxels.astype(np.uint16)]
    assert len({sha256_of_voxels(v) for v in versions}) == 4


def test_the_checksum_is_the_documented_one_and_ignores_memory_layout_and_byte_order():
    import hashlib

    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    expected = hashlib.sha256(b"int16 4x3x2\n" + voxels.astype("<i2").tobytes()).hexdigest()
    assert sha256_of_voxels(voxels) == expected
    assert sha256_of_voxels(np.asfortranarray(voxels)) == expected
    assert sha256_of_voxels(voxels.astype(">i2")) == expected


@pytest.mark.parametrize(
    ("stored", "low", "high", "expected"),
    [
        (np.uint8, 0, 255, np.uint8),
        (np.int8, -100, 100, np.int8),
        (np.uint16, 0, 60000, np.uint16),
        (np.int32, -1024, 3000, np.int16),
        (np.int32, -1024, 70000, np.int32),
        (np.uint32, 0, 3000, np.int16),
        (np.int64, -1024, 70000, np.int32),
        (np.float32, -1024, 3000, np.float32),
        (np.float64, -1024, 3000, np.float32),
    ],
)
@pytest.mark.parametrize("name", ["scan.nrrd", "scan.nii.gz", "scan.mha"])
def test_voxels_keep_their_values_in_the_smallest_native_type(tmp_path, name, stored, low, high, expected):
    image = an_image(stored, low=low, high=high)
    volume = read_volume(written(tmp_path / name, image))
    assert volume.image.dtype == expected
    assert np.array_equal(volume.image, sitk.GetArrayFromImage(image))


def test_integers_past_32_bits_are_refused(tmp_path):
    assert "32-bit" in sentence_for(written(tmp_path / "scan.nrrd", an_image(np.int64, low=2**40, high=2**41)))


def test_big_endian_voxels_are_read_right(tmp_path):
    path = written(tmp_path / "scan.nrrd", an_image())
    voxels = sitk.GetArrayFromImage(an_image())
    start = path.read_bytes().index(b"\n\n") + 2
    header = path.read_bytes()[:start].replace(b"endian: little", b"endian: big")
    path.write_bytes(header + voxels.astype(">i2").tobytes())
    assert np.array_equal(read_volume(path).image, voxels)


@pytest.mark.parametrize(("slope", "intercept", "expected"), [(1.0, -1024.0, np.int16), (0.5, 10.0, np.float32)])
def test_a_nifti_scale_is_applied(tmp_path, slope, intercept, expected):
    path = written(tmp_path / "scan.nii", an_image())
    content = bytearray(path.read_bytes())
    struct.pack_into("<2f", content, 112, slope, intercept)
    path.write_bytes(content)
    volume = read_volume(path)
    assert volume.image.dtype == expected
    assert np.array_equal(volume.image, sitk.GetArrayFromImage(an_image()) * slope + intercept)
    assert np.array_equal(volume.image, sitk.GetArrayFromImage(sitk.ReadImage(str(path))))


def test_a_scan_without_air_is_no_ct_unless_the_caller_says_so(tmp_path):
    path = written(tmp_path / "scan.nrrd", an_image(low=0, high=900))
    assert read_volume(path).modality == "other"
    assert read_volume(path, modality="MR").modality == "MR"
    assert read_volume(path, modality="CT").modality == "CT"


def test_a_volume_of_one_slice_and_a_fourth_axis_of_one_are_read(tmp_path):
    single = read_volume(written(tmp_path / "one.nrrd", an_image(size=(7, 6, 1))))
    assert single.geometry.size == (7, 6, 1)
    image = an_image()
    for name in ("frame.nii.gz", "frame.mha"):
        frame = sitk.JoinSeries([image])
        assert read_volume(written(tmp_path / name, frame)).geometry.differences_from(Geometry.of_image(image)) == []


@pytest.mark.parametrize("name", FORMATS[:4])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("keep", [0.05, 0.5, 0.9, -1])
def test_a_truncated_file_is_refused(tmp_path, name, compress, keep):
    path = written(tmp_path / name, an_image(size=(20, 30, 10)), compress)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)] if keep > 0 else content[:keep])
    text = sentence_for(path)
    assert "cut off" in text or "not an NRRD" in text


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.nii.gz", "scan.mha"])
def test_a_flipped_byte_in_a_packed_file_is_refused(tmp_path, name):
    path = written(tmp_path / name, an_image(size=(40, 30, 20)), True)
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 0x41
    path.write_bytes(content)
    assert "damaged" in sentence_for(path)


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.nii", "scan.nii.gz", "scan.mha"])
def test_a_header_that_claims_a_terabyte_is_refused_before_memory_is_taken(tmp_path, name):
    path = written(tmp_path / "scan.nii" if "nii" in name else tmp_path / name, an_image())
    if "nii" in name:
        content = bytearray(path.read_bytes())
        struct.pack_into("<3h", content, 42, 2000, 2000, 2000)
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    else:
        edited(path, ("7 6 5", "2000 2000 2000"))
    limited = (
        "import resource, sys\n"
        "from DeferredSegSlicerLib.core.volume import read_volume\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "try:\n    read_volume(sys.argv[1])\n"
        "except ValueError as error:\n    print(error)\n"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    ran = subprocess.run([sys.executable, "-c", limited, str(path)], capture_output=True, text=True, env=env)
    assert ran.returncode == 0, ran.stderr
    assert "cut off" in ran.stdout and "2000x2000x2000" in ran.stdout
    assert ran.stderr == ""


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.mha"])
def test_a_header_that_claims_more_voxels_than_any_scan_is_refused(tmp_path, name):
    path = edited(written(tmp_path / name, an_image()), ("7 6 5", "100000 10000 1000"))
    assert "100000x10000x1000" in sentence_for(path)


@pytest.mark.parametrize("value", ["inf", "nan", "0", "-1"])
def test_a_spacing_that_is_no_distance_is_refused_in_metaimage(tmp_path, value):
    path = edited(written(tmp_path / "scan.mha", an_image()), ("ElementSpacing = 0.75", f"ElementSpacing = {value}"))
    assert "spacing" in sentence_for(path)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 0.0, -1.0, 5.0])
def test_a_spacing_that_is_no_distance_or_contradicts_the_orientation_is_refused_in_nifti(tmp_path, value):
    path = written(tmp_path / "scan.nii", an_image(direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)))
    content = bytearray(path.read_bytes())
    struct.pack_into("<f", content, 80, value)
    struct.pack_into("<h", content, 252, 0)
    path.write_bytes(content)
    assert "spacing" in sentence_for(path)


@pytest.mark.parametrize("value", ["(inf,0,0)", "(nan,nan,nan)", "(0,0,0)"])
def test_a_spacing_that_is_no_distance_is_refused_in_nrrd(tmp_path, value):
    path = written(tmp_path / "scan.nrrd", an_image(direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)))
    assert "spacing" in sentence_for(edited(path, ("(0.75,0,0)", value)))


def test_sheared_axes_are_refused(tmp_path):
    path = written(tmp_path / "scan.nrrd", an_image(direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)))
    assert "orthonormal" in sentence_for(edited(path, ("(0.75,0,0)", "(0.75,0.75,0)")))


def test_a_file_that_does_not_say_how_it_lies_in_the_patient_is_refused(tmp_path):
    path = written(tmp_path / "scan.nii", an_image())
    content = bytearray(path.read_bytes())
    struct.pack_into("<2h", content, 252, 0, 0)
    path.write_bytes(content)
    assert "lies in the patient" in sentence_for(path)
    path = written(tmp_path / "scan.nrrd", an_image())
    assert "lies in the patient" in sentence_for(edited(path, ("left-posterior-superior", "scanner-xyz")))


@pytest.mark.parametrize("extension", ["nrrd", "nii.gz", "mha"])
def test_flat_moving_and_colored_images_are_refused_by_name(tmp_path, extension):
    image = an_image()
    assert "2D (7x6)" in sentence_for(written(tmp_path / f"flat.{extension}", image[:, :, 2]))
    moving = written(tmp_path / f"moving.{extension}", sitk.JoinSeries([image, image, image]))
    assert "4 dimensions (7x6x5x3)" in sentence_for(moving)
    color = sitk.Compose([sitk.Cast(image, sitk.sitkUInt8)] * 3)
    assert "colors" in sentence_for(written(tmp_path / f"color.{extension}", color))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_number_are_counted_and_placed(tmp_path, value):
    voxels = sitk.GetArrayFromImage(an_image(np.float32))
    voxels[3, 2, 1] = voxels[4, 5, 6] = value
    image = sitk.GetImageFromArray(voxels)
    image.CopyInformation(an_image())
    text = sentence_for(written(tmp_path / "scan.nrrd", image))
    ras = np.array(image.TransformIndexToPhysicalPoint((1, 2, 3))) * (-1, -1, 1)
    assert "2 NaN or infinite" in text and "(1, 2, 3)" in text and f"{ras[0]:.1f}, {ras[1]:.1f}, {ras[2]:.1f}" in text


def test_an_all_equal_volume_is_refused(tmp_path):
    assert "every voxel is -1024" in sentence_for(written(tmp_path / "s.nrrd", an_image(low=-1024, high=-1023)))


def test_what_is_no_image_is_refused(tmp_path):
    contents = {"a.nrrd": b"hello", "b.nii": b"x" * 999, "c.nii.gz": b"", "d.txt": b"NDims", "e.png": b"\x89PNG"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert "not an NRRD" in sentence_for(tmp_path / name) or "empty" in sentence_for(tmp_path / name)
    assert "does not exist" in sentence_for(tmp_path / "missing.nrrd")
    (tmp_path / "f.nii.gz").write_bytes(b"\x1f\x8b" + b"q" * 50)
    assert "damaged" in sentence_for(tmp_path / "f.nii.gz")


def test_a_detached_header_may_not_point_out_of_its_folder(tmp_path):
    (tmp_path / "in").mkdir()
    path = written(tmp_path / "in" / "scan.mhd", an_image())
    (tmp_path / "in" / "scan.raw").rename(tmp_path / "scan.raw")
    assert "not there" in sentence_for(path)
    assert "same folder" in sentence_for(edited(path, ("scan.raw", "../scan.raw")))


def test_an_unreadable_file_is_refused(tmp_path, monkeypatch):
    path = written(tmp_path / "scan.nrrd", an_image())

    def denied(self, *_args, **_kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", denied)
    assert "Permission denied" in sentence_for(path)


def test_nothing_is_printed_while_reading_odd_files(tmp_path, capfd):
    path = written(tmp_path / "scan.nii", an_image())
    content = bytearray(path.read_bytes())
    struct.pack_into("<2f", content, 80, -0.75, -1.25)
    path.write_bytes(content)
    for file in (path, written(tmp_path / "scan.mha", an_image(), True)):
        (tmp_path / f"half_{file.name}").write_bytes(file.read_bytes()[:300])
        for odd in (file, tmp_path / f"half_{file.name}"):
            try:
                read_volume(odd)
            except BadInputError:
                continue
    assert capfd.readouterr() == ("", "")


def test_a_volume_that_does_not_fit_its_grid_is_refused():
    geometry = Geometry((4, 3, 2), (1, 1, 1))
    with pytest.raises(BadInputError, match="grid"):
        Volume(np.zeros((4, 3, 2), np.int16), geometry)
    with pytest.raises(BadInputError, match="float64"):
        Volume(np.zeros((2, 3, 4)), geometry)
    with pytest.raises(BadInputError, match="modality"):
        Volume(np.zeros((2, 3, 4), np.int16), geometry, "XR")  # type: ignore[arg-type]


def test_a_gzip_of_several_members_is_read_whole(tmp_path):
    plain = written(tmp_path / "scan.nii", an_image(size=(40, 30, 20)))
    content = plain.read_bytes()
    parts = [gzip.compress(content[n : n + 9001]) for n in range(0, len(content), 9001)]
    (tmp_path / "scan.nii.gz").write_bytes(b"".join(parts))
    assert read_volume(tmp_path / "scan.nii.gz").sha256 == read_volume(plain).sha256
    (tmp_path / "scan.nii.gz").write_bytes(b"".join(parts[:-1]))
    assert "cut off" in sentence_for(tmp_path / "scan.nii.gz")


def test_a_stream_that_unpacks_to_much_more_than_its_header_claims_is_refused(tmp_path):
    content = written(tmp_path / "scan.nii", an_image()).read_bytes()
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(content + bytes(50 << 20)))
    assert "more than its header claims" in sentence_for(tmp_path / "bomb.nii.gz")
