"""Labelmaps come back with the same voxels at the same millimeters, and say what nobody has reviewed."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.nrrd_header import read_nrrd_header
from DeferredSegSlicerLib.core.segmentation_file import read_segmentation
from DeferredSegSlicerLib.core.structures import make_structures
from DeferredSegSlicerLib.export.case_content import content_of
from DeferredSegSlicerLib.export.content import Content
from DeferredSegSlicerLib.export.formats import Target, export_case
from DeferredSegSlicerLib.export.nifti import quaternion_of, write_nifti

ENDING = {"seg.nrrd": ".seg.nrrd", "nifti": ".nii.gz"}


def exported(content: Content, folder: Path, format: str) -> Path:
    done = export_case(content, Target(folder, "scan"), [format])
    assert done.failures == ()
    return folder / f"scan{ENDING[format]}"


def nifti_header(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())[:352]


@pytest.mark.parametrize("format", ENDING)
def test_every_voxel_comes_back_at_its_place(a_case_on_a_grid: Case, tmp_path: Path, format: str) -> None:
    content = content_of(a_case_on_a_grid, 0.2)
    assert set(np.unique(content.label)) == {0, 1, 2}
    image = sitk.ReadImage(str(exported(content, tmp_path, format)))
    assert Geometry.of_image(image).differences_from(a_case_on_a_grid.geometry) == []
    assert np.array_equal(sitk.GetArrayFromImage(image), content.label)


@pytest.mark.parametrize("format", ENDING)
def test_the_projects_own_reader_agrees(a_case_on_a_grid: Case, tmp_path: Path, format: str) -> None:
    content = content_of(a_case_on_a_grid, 0.2)
    found = read_segmentation(exported(content, tmp_path, format))
    assert found.geometry.differences_from(a_case_on_a_grid.geometry) == []
    assert np.array_equal(found.layers[0], content.label)


def test_both_orientations_of_a_nifti_file_say_the_same(a_case_on_a_grid: Case, tmp_path: Path) -> None:
    """The quaternion is read by the formulas of the NIfTI-1 standard."""
    header = nifti_header(exported(content_of(a_case_on_a_grid, 0.2), tmp_path, "nifti"))
    qform, sform = struct.unpack_from("<2h", header, 252)
    b, c, d, *offset = struct.unpack_from("<6f", header, 256)
    rows = np.array(struct.unpack_from("<12f", header, 280)).reshape(3, 4)
    factor, *spacing = struct.unpack_from("<4f", header, 76)
    assert sform == 1
    assert np.allclose(rows, a_case_on_a_grid.geometry.ijk_to_ras[:3], atol=1e-4)
    a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    turn = [
        [a * a + b * b - c * c - d * d, 2 * b * c - 2 * a * d, 2 * b * d + 2 * a * c],
        [2 * b * c + 2 * a * d, a * a + c * c - b * b - d * d, 2 * c * d - 2 * a * b],
        [2 * b * d - 2 * a * c, 2 * c * d + 2 * a * b, a * a + d * d - b * b - c * c],
    ]
    far = np.asarray(a_case_on_a_grid.geometry.size) - 1
    by_quaternion = np.array(turn) @ (far * spacing * np.array([1, 1, factor])) + offset
    by_matrix = rows[:, :3] @ far + rows[:, 3]
    gap = np.abs(by_quaternion - by_matrix).max()
    assert qform == 1 and gap < 2e-3


def test_a_quaternion_that_would_lose_the_direction_is_left_out(case_on: Callable[..., Case], tmp_path: Path) -> None:
    turn = np.pi - 3e-4
    direction = (np.cos(turn), -np.sin(turn), 0, np.sin(turn), np.cos(turn), 0, 0, 0, 1)
    # The axes of NIfTI are RAS, so that this is a turn by 3e-4 there, and its quaternion's a is nearly 1 ...
    grid = Geometry((9, 8, 7), (35.0, 40.0, 60.0), (0, 0, 0), direction)
    assert struct.unpack_from("<h", nifti_header(exported(content_of(case_on(grid), 0.2), tmp_path, "nifti")), 252) == (
        1,
    )
    # ... while a turn by 3e-4 in LPS is one by nearly pi in RAS, and its a is lost in 32 bits.
    direction = (np.cos(3e-4), -np.sin(3e-4), 0, np.sin(3e-4), np.cos(3e-4), 0, 0, 0, 1)
    grid = Geometry((9, 8, 7), (35.0, 40.0, 60.0), (0, 0, 0), direction)
    content = content_of(case_on(grid, "other"), 0.2)
    path = exported(content, tmp_path / "other files", "nifti")
    assert struct.unpack_from("<h", nifti_header(path), 252) == (0,)
    assert Geometry.of_image(sitk.ReadImage(str(path))).differences_from(grid) == []


@pytest.mark.parametrize("seed", range(20))
def test_quaternions_are_those_of_their_matrices(seed: int) -> None:
    axes = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0] * (1, 1, -1 if seed % 2 else 1)
    handed, (b, c, d) = quaternion_of(axes)
    a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    v = np.random.default_rng(seed + 100).normal(size=3)
    around = np.array([b, c, d])
    turned = v + 2 * np.cross(around, np.cross(around, v) + a * v)
    assert np.allclose(turned, axes * (1, 1, handed) @ v)
    assert handed == np.sign(np.linalg.det(axes))


def test_slicers_header_keeps_names_colors_and_codes_and_tells_the_review(a_case: Case, tmp_path: Path) -> None:
    content = content_of(a_case, 0.2)
    found = read_segmentation(exported(content, tmp_path, "seg.nrrd"))
    for segment, structure, item in zip(found.segments, a_case.structures, content.structures, strict=True):
        tags = dict(segment.tags)
        assert (segment.id, segment.name, segment.label) == (structure.id, structure.name, item.number)
        assert segment.color == pytest.approx(structure.color, abs=1e-5)
        assert segment.terminology == structure.terminology
        assert tags["DICOM.SegmentAlgorithmType"] == "AUTOMATIC"
        assert tags["DICOM.SegmentAlgorithmName"] == "Test net"
        assert tags["Segmentation.Status"] == "flagged"
        assert tags["DeferredSeg.UnreviewedRegions"] == str(item.regions) != "0"
        assert "NOT reviewed" in tags["DeferredSeg.Review"]
    metadata = read_nrrd_header(tmp_path / "scan.seg.nrrd").metadata
    assert metadata["DeferredSeg_Review"].startswith("NOT REVIEWED") and metadata["DeferredSeg_CaseId"] == a_case.id


def test_slicer_shows_that_segments_are_flagged(a_case: Case, tmp_path: Path) -> None:
    path = exported(content_of(a_case, 0.2), tmp_path, "seg.nrrd")
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    segments = [node.GetSegmentation().GetNthSegment(n) for n in range(2)]
    assert [segment.GetName() for segment in segments] == ["Liver", "right kidney"]
    assert [logic.GetSegmentStatus(segment) for segment in segments] == [logic.Flagged] * 2
    scene.Clear(1)


def test_nifti_has_names_codes_and_the_review_beside_and_inside_it(a_case: Case, tmp_path: Path) -> None:
    content = content_of(a_case, 0.2)
    path = exported(content, tmp_path, "nifti")
    beside = json.loads((tmp_path / "scan.json").read_text(encoding="utf-8"))
    assert [(s["label"], s["name"]) for s in beside["structures"]] == [(1, "Liver"), (2, "right kidney")]
    assert beside["structures"][1]["codes"]["modifier"] == {"scheme": "SCT", "value": "24028007", "meaning": "Right"}
    assert beside["review"]["unreviewed_regions"] == len(content.regions) > 0
    assert beside["review"]["reviewed_by_a_person"] is False
    file = gzip.decompress(path.read_bytes())
    assert file[148:228].rstrip(b"\0").decode() == f"DeferredSeg: {content.summary}"
    size, code = struct.unpack_from("<ii", file, 352)
    assert code == 6 and size % 16 == 0
    assert struct.unpack_from("<f", file, 108) == (352.0 + size,)
    assert json.loads(file[360 : 352 + size].rstrip(b"\0")) == beside


def test_names_in_any_script_survive(case_on: Callable[..., Case], an_oblique_grid: Geometry, tmp_path: Path) -> None:
    names = ["Läsion „A“ | 肝臓", "почка\\правая"]
    content = content_of(case_on(an_oblique_grid, "fall ä", structures=make_structures((n, None) for n in names)), 0.2)
    folder = tmp_path / "päth 出力"
    assert [s.name for s in read_segmentation(exported(content, folder, "seg.nrrd")).segments] == names
    exported(content, folder, "nifti")
    beside = json.loads((folder / "scan.json").read_text(encoding="utf-8"))
    assert [s["name"] for s in beside["structures"]] == names
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "scan.nii.gz"))), content.label)


def test_a_label_that_is_not_of_the_grid_is_a_programming_error(a_case: Case, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not uint8 on the grid"):
        write_nifti(tmp_path / "x.nii.gz", np.zeros((2, 2, 2), np.uint8), a_case.geometry, "", {})
    assert list(tmp_path.glob("*.nii.gz")) == []
