"""Export from the panel: what all readers decided, read back voxel by voxel, and said loudly if nobody looked.

Slicer's exporter for DICOM SEG needs a running Slicer. A stand-in with its interface asks for what the real one asks
for (Modules/Scripted/DICOMPlugins/DICOMSegmentationPlugin.py of Slicer 5.13) and writes the file with highdicom.
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import slicer
import vtk
import vtk.util.numpy_support
from case_on_node import node_ids
from DeferredSegSlicerLib.core.case import open_case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.image_file import read_image_file
from DeferredSegSlicerLib.core.review import Reader, ReviewSession
from DeferredSegSlicerLib.logic.review import slicer_dicom
from DeferredSegSlicerLib.mrml.grid import array_of_matrix
from DeferredSegSlicerLib.mrml.segments import tag_of
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from review_bench import LEFT_HANDED, OBLIQUE, Bench, a_bench  # noqa: F401  a fixture

MakeBench = Callable[..., Bench]
GRIDS = pytest.mark.parametrize("grid", [OBLIQUE, LEFT_HANDED], ids=["oblique", "left-handed"])


@GRIDS
def test_what_was_decided_is_in_every_file_voxel_by_voxel(a_bench: MakeBench, grid: Any, tmp_path: Path) -> None:  # noqa: F811
    bench = a_bench(grid)
    review = bench.review
    review.begin("extent")
    for number in (1, 2, 3):
        review.alternatives()
        review.take(number)
        review.next_open()
    done = review.export(tmp_path / "out", ["seg.nrrd,nifti", "csv", "json", "stl"])
    assert not done.failures and done.summary == "9 of 12 regions NOT REVIEWED"
    for ending in (".seg.nrrd", ".nii.gz"):
        path = next(p for p in done.files if p.name.endswith(ending))
        image = sitk.ReadImage(str(path))
        assert np.array_equal(sitk.GetArrayFromImage(image), bench.labels)
        geometry = read_image_file(path, "other").geometry
        assert geometry.differences_from(bench.case.geometry, 1e-3) == []
    facts = json.loads(next(p for p in done.files if p.name.endswith("_review.json")).read_text(encoding="utf-8"))
    assert facts["review"]["unreviewed_regions"] == 9 and len(facts["decisions"]) == 3
    assert any(p.name.endswith("_Liver.stl") for p in done.files)


def test_a_case_that_nobody_reviewed_says_so_before_anybody_begins(a_bench: MakeBench, tmp_path: Path) -> None:  # noqa: F811
    bench = a_bench()
    done = bench.review.export(tmp_path / "out")
    assert "nobody has reviewed this case" in done.warnings[0] and len(done.warnings) == 2
    assert {p.suffix for p in done.files} == {".nrrd", ".gz", ".json", ".csv"}


def test_an_export_has_what_all_readers_decided_whoever_looks(a_bench: MakeBench, tmp_path: Path) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    review.alternatives()
    review.take(3)
    with ReviewSession(bench.case, bench.module.shown.worklist, Reader("colleague"), 1.0) as other:
        other.next()
        other.take(other.alternatives()[3])
    done = review.export(tmp_path / "out", ["seg.nrrd"])
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(done.files[0])))
    assert np.array_equal(labels, review.session.state.corrected())
    assert not np.array_equal(labels, bench.labels), "the reader's own view lacks the colleague's decision"


@GRIDS
def test_strokes_outside_of_an_edit_are_said_to_be_in_no_file(a_bench: MakeBench, grid: Any, tmp_path: Path) -> None:  # noqa: F811
    """Slicer's own Segment Editor module paints in any segmentation, the corrected copy too."""
    bench = a_bench(grid)
    review = bench.review
    review.begin("extent")
    review.start_edit()
    copy, segment_id = review.editing.segmentation_node, review.editing.segment_id
    review.cancel_edit()
    assert not any("outside of an edit" in w for w in review.export(tmp_path / "before", ["csv"]).warnings)
    labels = slicer.vtkOrientedImageData()
    copy.GetBinaryLabelmapRepresentation(segment_id, labels)
    stroke = slicer.vtkOrientedImageData()
    stroke.DeepCopy(labels)
    voxels = vtk.util.numpy_support.vtk_to_numpy(stroke.GetPointData().GetScalars())
    count = int(np.count_nonzero(voxels))
    voxels[:] = 0
    slicer.vtkSlicerSegmentationsModuleLogic.SetBinaryLabelmapToSegment(
        stroke, copy, segment_id, slicer.vtkSlicerSegmentationsModuleLogic.MODE_REPLACE
    )
    bench.wait(0.3)
    done = review.export(tmp_path / "out", ["nifti"])
    assert any(warning.startswith(f"{count} voxels of the corrected copy were drawn on") for warning in done.warnings)
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(done.files[0]))), bench.labels)


def test_files_that_are_there_are_not_replaced_unless_that_is_wished(a_bench: MakeBench, tmp_path: Path) -> None:  # noqa: F811
    bench = a_bench()
    first = bench.review.export(tmp_path / "out", ["csv"])
    with pytest.raises(BadInputError, match="is there already"):
        bench.review.export(tmp_path / "out", ["nifti", "csv"])
    assert sorted((tmp_path / "out").iterdir()) == sorted(first.files)
    assert bench.review.export(tmp_path / "out", ["csv"], overwrite=True).files == first.files
    with pytest.raises(BadInputError, match='"tiff" is unknown'):
        bench.review.export(tmp_path / "out", ["tiff"])


def test_without_a_case_there_is_nothing_to_export(a_bench: MakeBench, tmp_path: Path) -> None:  # noqa: F811
    bench = a_bench()
    bench.module.close_case()
    with pytest.raises(BadInputError, match="no case is open"):
        bench.review.export(tmp_path / "out")
    assert all(reason == "no case is open" for _, _, reason in bench.review.export_formats())


def test_a_budget_of_its_own_lists_other_regions(a_bench: MakeBench, tmp_path: Path) -> None:  # noqa: F811
    bench = a_bench()
    done = bench.review.export(tmp_path / "out", ["csv"], budget=0.01)
    rows = done.files[0].read_text(encoding="utf-8").splitlines()
    assert 1 < len(rows) < 13


# DICOM SEG


class Database:
    """slicer.dicomDatabase: knows files by instance."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def fileForInstance(self, uid: str) -> str:
        return self.files.get(uid, "")


class StandInExporter:
    """The interface of Slicer's DICOMSegmentationExporter, and its demands."""

    made: ClassVar[list[StandInExporter]] = []

    def __init__(self, segmentationNode: Any, contentCreatorName: str | None = None) -> None:
        self.node = segmentationNode
        self.cleaned = False
        StandInExporter.made.append(self)

    def export(
        self,
        outputDirectory: str,
        segFileName: str,
        metadata: dict[str, str],
        segmentIDs: list[str] | None = None,
        skipEmpty: bool = False,
    ) -> bool:
        assert segmentIDs, "the real one would stop at empty segments"
        volume = self.node.GetNodeReference(self.node.GetReferenceImageGeometryReferenceRole())
        if volume is None:
            raise ValueError("Referenced volume is not found for the segmentation.")
        paths = [slicer.dicomDatabase.fileForInstance(u) for u in volume.GetAttribute("DICOM.instanceUIDs").split()]
        images = sorted((pydicom.dcmread(p) for p in paths), key=lambda d: float(d.ImagePositionPatient[2]))
        frames = np.stack([self._frames(i) for i in segmentIDs], axis=-1)
        descriptions = [self._description(n, i) for n, i in enumerate(segmentIDs, 1)]
        seg = highdicom.seg.Segmentation(
            images, frames, highdicom.seg.SegmentationTypeValues.BINARY, descriptions, generate_uid(),
            int(metadata["SeriesNumber"]), generate_uid(), 1, "QIICR", "dcmqi", "1", "0",
            series_description=metadata["SeriesDescription"],
        )  # fmt: skip
        seg.save_as(Path(outputDirectory) / segFileName)
        return True

    def cleanup(self) -> None:
        self.cleaned = True

    def _frames(self, segment_id: str) -> np.ndarray:
        """A segment on the scan's slices, as the real one merges it."""
        image, ids = slicer.vtkOrientedImageData(), vtk.vtkStringArray()
        ids.InsertNextValue(segment_id)
        self.node.GenerateMergedLabelmapForAllSegments(image, 0, None, ids)
        to_ras = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(to_ras)
        scan = vtk.vtkMatrix4x4()
        volume = self.node.GetNodeReference(self.node.GetReferenceImageGeometryReferenceRole())
        volume.GetIJKToRASMatrix(scan)
        assert np.allclose(array_of_matrix(to_ras), array_of_matrix(scan)), "it is on another grid than the scan"
        voxels = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
        return (voxels.reshape(image.GetDimensions()[::-1]) != 0).astype(np.uint8)

    def _description(self, number: int, segment_id: str) -> Any:
        segment = self.node.GetSegmentation().GetSegment(segment_id)
        entry = slicer.vtkSlicerTerminologyEntry()
        text = tag_of(segment, slicer.vtkSegment.GetTerminologyEntryTagName())
        slicer.modules.terminologies.logic().DeserializeTerminologyEntry(text, entry)
        codes = [entry.GetCategoryObject(), entry.GetTypeObject()]
        if any(code is None or not code.GetCodeValue() for code in codes):
            raise ValueError(f"Segment {segment.GetName()} has missing attributes. Make sure to set terminology.")
        kind, name = (tag_of(segment, f"DICOM.SegmentAlgorithm{what}") for what in ("Type", "Name"))
        if kind not in ("MANUAL", "SEMIAUTOMATIC", "AUTOMATIC") or (kind != "MANUAL" and not name):
            raise ValueError(f"Segment {segment.GetName()} has missing SegmentAlgorithmName")
        category, type_ = (
            highdicom.sr.CodedConcept(c.GetCodeValue(), c.GetCodingSchemeDesignator(), c.GetCodeMeaning())
            for c in codes
        )
        identification = highdicom.AlgorithmIdentificationSequence(
            name, highdicom.sr.CodedConcept("123109", "DCM", "Artificial Intelligence"), "1"
        )
        return highdicom.seg.SegmentDescription(number, segment.GetName(), category, type_, kind, identification)


@pytest.fixture
def slicers_exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module that Slicer has, for as long as the test."""
    module = types.ModuleType("DICOMSegmentationPlugin")
    module.DICOMSegmentationExporter = StandInExporter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "DICOMSegmentationPlugin", module)
    StandInExporter.made.clear()
    yield


def load_series(bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Let the bench's scan be one that was loaded from a DICOM series of the same voxels in Slicer's database."""
    folder.mkdir()
    image, grid = bench.case.image(), bench.case.geometry
    direction = np.reshape(grid.direction_lps, (3, 3))
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    files = {}
    for k, plane in enumerate(image):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, generate_uid()
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
        data.PatientName, data.PatientID, data.Modality = "Doe^Jane", "42", "CT"
        data.PatientBirthDate = data.PatientSex = data.AccessionNumber = data.StudyID = ""
        data.StudyDate = data.StudyTime = data.ReferringPhysicianName = ""
        data.InstanceNumber, data.SeriesNumber = k + 1, 3
        data.ImagePositionPatient = (np.array(grid.origin_lps) + k * grid.spacing[2] * direction[:, 2]).tolist()
        data.ImageOrientationPatient = [*direction[:, 0].tolist(), *direction[:, 1].tolist()]
        data.PixelSpacing, data.SliceThickness = [grid.spacing[1], grid.spacing[0]], grid.spacing[2]
        data.Rows, data.Columns = plane.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 1
        data.RescaleIntercept, data.RescaleSlope = 0, 1
        data.PixelData = np.ascontiguousarray(plane).tobytes()
        path = folder / f"{k:03d}.dcm"
        data.save_as(path, enforce_file_format=True)
        files[str(data.SOPInstanceUID)] = str(path)
    bench.volume.SetAttribute("DICOM.instanceUIDs", " ".join(files))
    monkeypatch.setattr(slicer, "dicomDatabase", Database(files), raising=False)
    return files


def test_dicom_seg_has_codes_algorithm_voxels_and_what_a_person_reviewed(
    a_bench: MakeBench,  # noqa: F811
    slicers_exporter: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    bench = a_bench()
    load_series(bench, tmp_path / "series", monkeypatch)
    review = bench.review
    review.begin("Dr. Weiß")
    review.alternatives()
    review.take(3)
    nodes = node_ids(bench.scene)
    reasons = {name: reason for name, _, reason in review.export_formats()}
    assert reasons["dicom-seg"] == ""

    done = review.export(tmp_path / "out", ["dicom-seg", "csv"])
    assert not done.failures and StandInExporter.made[0].cleaned
    assert node_ids(bench.scene) == nodes, "what was made for the exporter is gone"
    path = next(p for p in done.files if p.name.endswith("_seg.dcm"))
    seg = highdicom.seg.segread(path)
    assert str(seg.PatientName) == "Doe^Jane" and seg.SeriesDescription.startswith("DeferredSeg: 11 of 12")
    segments = list(seg.SegmentSequence)
    assert [s.SegmentLabel for s in segments] == ["Liver", "right kidney"]
    assert [s.SegmentAlgorithmType for s in segments] == ["SEMIAUTOMATIC", "AUTOMATIC"]
    assert all(s.SegmentAlgorithmName == "Test net" for s in segments)
    assert segments[0].SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"
    assert "11 of 12 deferral regions NOT reviewed by Dr. Weiß" in segments[0].SegmentDescription
    assert "No deferral region" in segments[1].SegmentDescription

    found = np.zeros_like(bench.labels)
    direction = np.reshape(bench.case.geometry.direction_lps, (3, 3))
    for frame, group in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        k = round(float((position - bench.case.geometry.origin_lps) @ direction[:, 2]) / 2.5)
        found[k][frame > 0] = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
    assert np.array_equal(found, bench.labels)


def test_a_structure_without_voxels_is_left_out_and_one_alone_is_refused(
    a_bench: MakeBench,  # noqa: F811
    slicers_exporter: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    bench = a_bench()
    load_series(bench, tmp_path / "series", monkeypatch)
    review = bench.review
    review.begin("extent")
    for structure in ("Liver", "right_kidney"):
        handles = review.start_edit()
        review.lift_limit()
        hand = bench.hand()
        hand.erase(np.ones(bench.case.geometry.shape, bool), structure)
        assert handles.segmentation_node is not None
        review.finish_edit()
        done = review.export(tmp_path / f"no {structure}", ["dicom-seg"])
        if structure == "Liver":
            assert [s.SegmentLabel for s in pydicom.dcmread(done.files[0]).SegmentSequence] == ["right kidney"]
    assert done.files == () and "nothing is labeled" in done.failures[0].error.sentence


def test_why_there_is_no_dicom_seg_is_said_in_a_sentence(
    a_bench: MakeBench,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    bench = a_bench()

    def reason() -> str:
        return {name: text for name, _, text in bench.review.export_formats()}["dicom-seg"]

    assert "no exporter for DICOM SEG" in reason(), "outside of Slicer"
    module = types.ModuleType("DICOMSegmentationPlugin")
    module.DICOMSegmentationExporter = StandInExporter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "DICOMSegmentationPlugin", module)
    assert "not loaded from Slicer's DICOM database" in reason()
    files = load_series(bench, tmp_path / "series", monkeypatch)
    assert reason() == ""
    Path(next(iter(files.values()))).unlink()
    assert "1 of the 14 files" in reason()
    done = bench.review.export(tmp_path / "out", ["dicom-seg", "csv"])
    assert [f.format for f in done.failures] == ["dicom-seg"] and "import the series again" in str(
        done.failures[0].error
    )
    assert len(done.files) == 2, "the other formats are written all the same"


def test_what_the_exporter_complains_of_is_passed_on_and_nothing_is_left(
    a_bench: MakeBench,  # noqa: F811
    slicers_exporter: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    bench = a_bench()
    load_series(bench, tmp_path / "series", monkeypatch)
    nodes = node_ids(bench.scene)

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("itkimage2segimage failed: out of cheese")

    monkeypatch.setattr(StandInExporter, "export", fail)
    done = bench.review.export(tmp_path / "out", ["dicom-seg"])
    assert "out of cheese" in done.failures[0].error.sentence and done.files == ()
    assert StandInExporter.made[0].cleaned and node_ids(bench.scene) == nodes
    assert list((tmp_path / "out").iterdir()) == []


def test_the_case_on_disk_is_what_is_exported(a_bench: MakeBench, tmp_path: Path) -> None:  # noqa: F811
    bench = a_bench()
    done = bench.review.export(tmp_path / "out", ["nifti"])
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(done.files[0])))
    assert np.array_equal(labels, open_case(bench.case.folder).label())
    assert slicer_dicom.SERIES_NUMBER.isdigit()
