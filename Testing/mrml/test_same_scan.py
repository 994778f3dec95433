"""A case opens on its own scan, whichever reader read it, and on no other of the same grid."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.volume import read_volume, sha256_of_voxels
from DeferredSegSlicerLib.mrml.grid import align, array_of
from DeferredSegSlicerLib.mrml.same_scan import check_same_scan, voxels_of_case
from hard_volumes import LEFT_HANDED, OBLIQUE, node_from_file, scan_on
from places import itk_image

WriteCase = Callable[..., Case]


def case_of_file(path: Path, write_a_case: WriteCase) -> Case:
    """The case that the command line makes of a file."""
    return write_a_case(path.parent / "case", read_volume(path))


@pytest.mark.parametrize("grid", [OBLIQUE, LEFT_HANDED], ids=["oblique", "left-handed"])
@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".mha"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "wide int32", "float32", "float64"])
def test_a_case_of_a_file_knows_the_node_that_slicer_reads_from_it(
    scene: Any, tmp_path: Path, write_a_case: WriteCase, dtype: str, ending: str, grid: Geometry
) -> None:
    voxels = scan_on(grid, np.float64)
    if "float" in dtype:
        voxels = voxels / 7
    if dtype == "wide int32":
        voxels *= 100
    if dtype.startswith("u"):
        voxels = (voxels + 1000) % 256
    path = tmp_path / f"scan{ending}"
    sitk.WriteImage(itk_image(voxels.astype(dtype.split()[-1]), grid), str(path))
    case = case_of_file(path, write_a_case)
    node = node_from_file(path)
    alignment = align(case.geometry, node)
    assert alignment.flips == (False, False, grid is LEFT_HANDED)
    check_same_scan(case, node, alignment)
    found = voxels_of_case(case, node, alignment)
    assert found.dtype == case.image().dtype and np.array_equal(found, case.image())
    array_of(node)[3, 4, 5] += 1
    with pytest.raises(BadInputError, match=r"other voxels .maybe another patient"):
        check_same_scan(case, node, alignment)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, -1024.0), (2.0, 3.0), (0.37, -5.5)])
@pytest.mark.parametrize("grid", [OBLIQUE, LEFT_HANDED], ids=["oblique", "left-handed"])
def test_a_case_of_a_scaled_nifti_knows_slicers_node(
    scene: Any, tmp_path: Path, write_a_case: WriteCase, slope: float, intercept: float, grid: Geometry
) -> None:
    path = tmp_path / "scan.nii"
    sitk.WriteImage(itk_image(scan_on(grid), grid), str(path))
    raw = bytearray(path.read_bytes())
    raw[112:120] = struct.pack("<ff", slope, intercept)
    path.write_bytes(raw)
    case = case_of_file(path, write_a_case)
    node = node_from_file(path)
    alignment = align(case.geometry, node)
    check_same_scan(case, node, alignment)
    array_of(node)[0, 0, 0] += 1
    with pytest.raises(BadInputError, match="other voxels"):
        check_same_scan(case, node, alignment)


@pytest.mark.parametrize("backward", [False, True])
def test_a_case_of_a_dicom_folder_knows_slicers_node(
    scene: Any, tmp_path: Path, write_a_case: WriteCase, backward: bool
) -> None:
    folder = tmp_path / "series"
    folder.mkdir()
    voxels = scan_on(OBLIQUE)
    for k in range(OBLIQUE.size[2]):
        write_slice(folder / f"{(99 - k) if backward else k:03}.dcm", voxels[k], k)
    case = write_a_case(tmp_path / "case", read_volume(folder))
    node = node_from_file(next(iter(sorted(folder.iterdir()))))
    alignment = align(case.geometry, node)
    check_same_scan(case, node, alignment)
    assert np.array_equal(alignment.to_case(array_of(node)), case.image())
    array_of(node)[0, 0, 0] += 1
    with pytest.raises(BadInputError, match="other voxels"):
        check_same_scan(case, node, alignment)


def write_slice(path: Path, plane: np.ndarray, k: int) -> None:
    """One slice of an oblique CT, by ITK's own DICOM writer."""
    image = sitk.GetImageFromArray(plane[None])
    image.SetSpacing(OBLIQUE.spacing)
    image.SetDirection(OBLIQUE.direction_lps)
    position = itk_image(scan_on(OBLIQUE), OBLIQUE).TransformIndexToPhysicalPoint((0, 0, k))
    image.SetOrigin(position)
    direction = np.reshape(OBLIQUE.direction_lps, (3, 3))
    tags = {
        "0008|0060": "CT",
        "0020|000d": "1.2.826.0.1.3680043.2.1125.1",
        "0020|000e": "1.2.826.0.1.3680043.2.1125.1.1",
        "0020|0052": "1.2.826.0.1.3680043.2.1125.1.2",
        "0020|0013": str(k + 1),
        "0020|0032": "\\".join(f"{x:.10g}" for x in position),
        "0020|0037": "\\".join(f"{x:.10g}" for x in [*direction[:, 0], *direction[:, 1]]),
        "0028|1052": "0",
        "0028|1053": "1",
    }
    for key, value in tags.items():
        image.SetMetaData(key, value)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    writer.Execute(image)


def test_a_case_whose_folder_has_lost_its_image_still_knows_its_scan(
    tmp_path: Path, scene: Any, write_a_case: WriteCase
) -> None:
    path = tmp_path / "scan.nrrd"
    sitk.WriteImage(itk_image(scan_on(LEFT_HANDED, np.int32), LEFT_HANDED), str(path))
    case = case_of_file(path, write_a_case)
    (case.folder / "image.nrrd").unlink()
    node = node_from_file(path)
    found = voxels_of_case(case, node, align(case.geometry, node))
    assert found.dtype == np.int16 and sha256_of_voxels(found) == case.record.image.sha256


def test_a_case_that_keeps_a_reference_alone_knows_its_scan(
    tmp_path: Path, scene: Any, write_a_case: WriteCase
) -> None:
    path = tmp_path / "scan.nrrd"
    sitk.WriteImage(itk_image(scan_on(LEFT_HANDED), LEFT_HANDED), str(path))
    case = write_a_case(tmp_path / "case", read_volume(path), reference_image=True)
    node = node_from_file(path)
    check_same_scan(case, node, align(case.geometry, node))


def test_the_right_voxels_in_the_wrong_order_are_refused(
    scene: Any, a_volume_node: Callable[..., Any], write_a_case: WriteCase, tmp_path: Path
) -> None:
    path = tmp_path / "scan.nrrd"
    sitk.WriteImage(itk_image(scan_on(OBLIQUE), OBLIQUE), str(path))
    case = case_of_file(path, write_a_case)
    mirrored = a_volume_node(np.ascontiguousarray(scan_on(OBLIQUE)[::-1]))
    with pytest.raises(BadInputError, match=r'volume "CT" has the grid .* choose the volume'):
        check_same_scan(case, mirrored, align(case.geometry, mirrored))


def test_floats_that_are_no_whole_numbers_never_pass_for_integers(
    a_volume_node: Callable[..., Any], write_a_case: WriteCase, tmp_path: Path
) -> None:
    path = tmp_path / "scan.nrrd"
    sitk.WriteImage(itk_image(scan_on(OBLIQUE), OBLIQUE), str(path))
    case = case_of_file(path, write_a_case)
    whole = a_volume_node(scan_on(OBLIQUE, np.float64))
    check_same_scan(case, whole, align(case.geometry, whole))
    broken = scan_on(OBLIQUE, np.float64)
    broken[1, 2, 3] += 0.25
    near = a_volume_node(broken)
    with pytest.raises(BadInputError, match="other voxels"):
        check_same_scan(case, near, align(case.geometry, near))
    broken[1, 2, 3] = np.nan
    with pytest.raises(BadInputError, match="other voxels"):
        check_same_scan(case, a_volume_node(broken), align(case.geometry, near))
