"""DICOM SEG: each voxel at its place by the file's own tags, the right series or none, and what readers did."""

from __future__ import annotations

import builtins
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.structures import make_structures
from DeferredSegSlicerLib.core.volume import Volume, read_volume, sha256_of_voxels
from DeferredSegSlicerLib.export.case_content import content_of
from DeferredSegSlicerLib.export.dicom_seg import dicom_lab, write_dicom_seg
from DeferredSegSlicerLib.export.source_series import SourceFolder, Turn, turn_between

ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0), "sagittal": (0, 1, 0, 0, 0, -1), "oblique": (0.8, 0.6, 0, -0.36, 0.48, -0.8)
}  # fmt: skip

WriteSeries = Callable[..., Path]
CaseOn = Callable[..., Case]


def seg_of(case: Case, series: Path, path: Path, **changes: Any) -> pydicom.Dataset:
    """The file that an export makes, as pydicom reads it."""
    content = replace(content_of(case, 0.2), **changes)
    write_dicom_seg(path, content, SourceFolder(series).series_of(case))
    return pydicom.dcmread(path)


def labels_in_space(seg: pydicom.Dataset) -> dict[tuple[float, ...], int]:
    """Label of every voxel of every frame by its LPS mm, from the functional groups alone (PS3.3 C.7.6.16.2)."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    axes = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    between_rows, between_columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    found: dict[tuple[float, ...], int] = {}
    for frame, groups in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        # Where all frames are of one segment, the group is among the shared ones.
        (named,) = (g for g in (groups, shared) if "SegmentIdentificationSequence" in g)
        number = named.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        origin = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        for row, column in np.argwhere(frame):
            place = origin + axes[:3] * between_columns * column + axes[3:] * between_rows * row
            key = tuple(float(v) for v in np.round(place, 2) + 0.0)
            assert key not in found
            found[key] = number
    return found


def labels_of(case: Case, label: np.ndarray) -> dict[tuple[float, ...], int]:
    """Label of every labeled voxel of a case by its LPS mm."""
    kji = np.argwhere(label)
    lps = case.geometry.ras_of(kji[:, ::-1]) * (-1, -1, 1)
    return {
        tuple(float(v) for v in np.round(place, 2) + 0.0): int(label[tuple(at)])
        for place, at in zip(lps, kji, strict=True)
    }


def turned(volume: Volume, axes: tuple[int, int, int], flipped: tuple[bool, bool, bool]) -> Volume:
    """The same scan stored with other index axes, as a converter would."""
    turn = Turn(axes, flipped)
    image = np.ascontiguousarray(turn.apply(volume.image))
    return Volume(image, turn.of_grid(volume.geometry), volume.modality, sha256_of_voxels(image), "")


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("step", [2.5, -2.5])
def test_every_voxel_lies_where_its_tags_say(
    write_series: WriteSeries, case_on: CaseOn, tmp_path: Path, orientation: str, step: float
) -> None:
    series = write_series(tmp_path / "dicom", ORIENTATIONS[orientation], step=step)
    case = case_on(read_volume(series))
    seg = seg_of(case, series, tmp_path / "seg.dcm")
    label = content_of(case, 0.2).label
    assert set(np.unique(label)) == {0, 1, 2}
    assert labels_in_space(seg) == labels_of(case, label)


@pytest.mark.parametrize(
    ("axes", "flipped"),
    [
        ((0, 1, 2), (False, False, True)),  # slices the other way: left-handed
        ((0, 1, 2), (False, True, False)),  # as NIfTI converters flip rows
        ((1, 2, 0), (True, False, True)),  # reformatted along other axes
        ((2, 0, 1), (True, True, True)),
    ],
)
def test_a_case_that_was_made_from_a_converted_series_finds_its_slices(
    write_series: WriteSeries, case_on: CaseOn, tmp_path: Path, axes: Any, flipped: Any
) -> None:
    series = write_series(tmp_path / "dicom", ORIENTATIONS["oblique"])
    case = case_on(turned(read_volume(series), axes, flipped))
    assert case.record.image.sha256 != read_volume(series).sha256
    seg = seg_of(case, series, tmp_path / "seg.dcm")
    assert labels_in_space(seg) == labels_of(case, content_of(case, 0.2).label)


def test_a_case_whose_file_stored_the_voxels_as_floats_is_recognized(
    a_series: Path, case_on: CaseOn, tmp_path: Path
) -> None:
    scan = read_volume(a_series)
    image = scan.image.astype(np.float32)
    case = case_on(Volume(image, scan.geometry, "CT", sha256_of_voxels(image), ""))
    assert labels_in_space(seg_of(case, a_series, tmp_path / "seg.dcm"))


def test_highdicom_reads_the_same_labelmap(a_case_of_the_series: Case, a_series: Path, tmp_path: Path) -> None:
    seg_of(a_case_of_the_series, a_series, tmp_path / "seg.dcm")
    found = highdicom.seg.segread(tmp_path / "seg.dcm").get_volume(combine_segments=True, allow_missing_positions=True)
    geometry, label = a_case_of_the_series.geometry, content_of(a_case_of_the_series, 0.2).label
    for at in np.argwhere(found.array):
        k, j, i = np.rint(geometry.ijk_of(found.map_indices_to_reference(at[None])[0] * (-1, -1, 1))[::-1]).astype(int)
        assert label[k, j, i] == found.array[tuple(at)]
    assert np.count_nonzero(found.array) == np.count_nonzero(label)


def test_itk_reads_the_frames_too(a_case_of_the_series: Case, a_series: Path, tmp_path: Path) -> None:
    seg = seg_of(a_case_of_the_series, a_series, tmp_path / "seg.dcm")
    image = sitk.ReadImage(str(tmp_path / "seg.dcm"))
    assert image.GetSize()[:2] == (9, 6) and image.GetSize()[2] == seg.NumberOfFrames


def test_it_belongs_to_the_patient_study_and_frame_of_reference_of_the_scan(
    a_case_of_the_series: Case, a_series: Path, tmp_path: Path
) -> None:
    seg = seg_of(a_case_of_the_series, a_series, tmp_path / "seg.dcm")
    scan = pydicom.dcmread(next(a_series.iterdir()))
    for name in ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert seg[name].value == scan[name].value, name
    assert str(seg.PatientName) == "Müller^Jürgen" and seg.SpecificCharacterSet == "ISO_IR 192"
    assert seg.SeriesInstanceUID != scan.SeriesInstanceUID and seg.Modality == "SEG"
    assert seg.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.4" and seg.SegmentationType == "BINARY"
    referred = {i.ReferencedSOPInstanceUID for i in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert referred == {pydicom.dcmread(f).SOPInstanceUID for f in a_series.iterdir()}


def test_each_frame_refers_to_the_slice_at_its_place(
    a_case_of_the_series: Case, a_series: Path, tmp_path: Path
) -> None:
    places = {
        image.SOPInstanceUID: tuple(map(float, image.ImagePositionPatient))
        for image in (pydicom.dcmread(file) for file in a_series.iterdir())
    }
    seg = seg_of(a_case_of_the_series, a_series, tmp_path / "seg.dcm")
    for groups in seg.PerFrameFunctionalGroupsSequence:
        slices = groups.DerivationImageSequence[0].SourceImageSequence
        position = tuple(map(float, groups.PlanePositionSequence[0].ImagePositionPatient))
        assert [places[s.ReferencedSOPInstanceUID] for s in slices] == [position]


def test_segments_carry_codes_algorithm_tracking_and_color(
    a_case_of_the_series: Case, a_series: Path, tmp_path: Path
) -> None:
    first = seg_of(a_case_of_the_series, a_series, tmp_path / "one.dcm").SegmentSequence
    again = seg_of(a_case_of_the_series, a_series, tmp_path / "two.dcm").SegmentSequence
    liver, kidney = first
    assert (liver.SegmentLabel, kidney.SegmentLabel) == ("Liver", "right kidney")
    category, kind = liver.SegmentedPropertyCategoryCodeSequence[0], liver.SegmentedPropertyTypeCodeSequence[0]
    assert (category.CodingSchemeDesignator, category.CodeValue) == ("SCT", "123037004")
    assert (kind.CodeValue, kind.CodeMeaning) == ("10200004", "Liver")
    modifier = kidney.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert (modifier.CodeValue, modifier.CodeMeaning) == ("24028007", "Right")
    assert liver.SegmentAlgorithmType == "AUTOMATIC" and liver.SegmentAlgorithmName == "Test net"
    assert liver.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "Test net"
    assert liver.TrackingUID == again[0].TrackingUID != kidney.TrackingUID
    red, green, blue = highdicom.color.CIELabColor.from_dicom_value(liver.RecommendedDisplayCIELabValue).to_rgb()
    color = [round(255 * c) for c in a_case_of_the_series.structures[0].color]
    assert np.abs(np.array([red, green, blue]) - color).max() <= 1


@pytest.mark.parametrize("seed", range(5))
def test_colors_are_those_of_highdicom(seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, 3).tolist()
    expected = highdicom.color.CIELabColor.from_rgb(*rgb).value
    assert np.abs(np.subtract(dicom_lab([c / 255 for c in rgb]), expected)).max() < 0.002 * 65535


def test_it_says_loudly_that_nobody_reviewed_it(a_case_of_the_series: Case, a_series: Path, tmp_path: Path) -> None:
    seg = seg_of(a_case_of_the_series, a_series, tmp_path / "seg.dcm")
    assert "NOT REVIEWED" in seg.SeriesDescription and "NOT REVIEWED" in seg.ContentDescription
    assert all("deferral regions NOT reviewed" in segment.SegmentDescription for segment in seg.SegmentSequence)
    assert max(len(seg.SeriesDescription), len(seg.ContentDescription)) <= 64


def test_long_names_in_any_script_fit(a_series: Path, case_on: CaseOn, tmp_path: Path) -> None:
    names = ["肝臓の" + "x" * 100, "почка\\правая"]
    case = case_on(read_volume(a_series), structures=make_structures((n, None) for n in names))
    folder = tmp_path / "Ausgäbe 出力"
    folder.mkdir()
    labels = [s.SegmentLabel for s in seg_of(case, a_series, folder / "seg.dcm").SegmentSequence]
    assert labels[0].startswith("肝臓のx") and labels[0].endswith("…") and len(labels[0]) == 64
    assert labels[1] == "почка/правая"


def test_a_structure_without_voxels_is_described_and_has_no_frame(
    a_case_of_the_series: Case, a_series: Path, tmp_path: Path
) -> None:
    label = np.where(content_of(a_case_of_the_series, 0.2).label == 1, 1, 0).astype(np.uint8)
    seg = seg_of(a_case_of_the_series, a_series, tmp_path / "seg.dcm", label=label)
    assert [s.SegmentNumber for s in seg.SegmentSequence] == [1, 2]
    assert labels_in_space(seg) == labels_of(a_case_of_the_series, label)


def test_one_structure_alone(a_series: Path, case_on: CaseOn, tmp_path: Path) -> None:
    scan = read_volume(a_series)
    probability = np.random.default_rng(0).integers(0, 256, (1, *scan.geometry.shape)).astype(np.uint8)
    case = case_on(scan, structures=make_structures([("nodule", None)]), probability=probability)
    assert labels_in_space(seg_of(case, a_series, tmp_path / "seg.dcm")) == labels_of(case, case.label())


def test_nothing_labeled_is_no_segmentation(a_case_of_the_series: Case, a_series: Path, tmp_path: Path) -> None:
    label = np.zeros_like(a_case_of_the_series.label())
    with pytest.raises(BadInputError, match="nothing is labeled"):
        seg_of(a_case_of_the_series, a_series, tmp_path / "seg.dcm", label=label)
    assert not (tmp_path / "seg.dcm").exists()


def test_another_patient_on_the_same_grid_is_refused(
    a_case_of_the_series: Case, write_series: WriteSeries, tmp_path: Path
) -> None:
    other = write_series(tmp_path / "other", seed=1)
    with pytest.raises(BadInputError, match=r"another patient.*same place, but its voxels differ"):
        SourceFolder(other).series_of(a_case_of_the_series)


def test_a_scan_at_another_place_is_refused_though_its_voxels_are_the_same(
    a_case_of_the_series: Case, write_series: WriteSeries, tmp_path: Path
) -> None:
    other = write_series(tmp_path / "other", step=2.6)
    with pytest.raises(BadInputError, match=r"another patient.*spacing"):
        SourceFolder(other).series_of(a_case_of_the_series)
    turned_away = write_series(tmp_path / "turned", ORIENTATIONS["oblique"])
    with pytest.raises(BadInputError, match="another angle"):
        SourceFolder(turned_away).series_of(a_case_of_the_series)


def test_the_right_series_is_found_among_others(
    a_case_of_the_series: Case, a_series: Path, write_series: WriteSeries, tmp_path: Path
) -> None:
    write_series(a_series / "later" / "scan", seed=1)
    write_series(a_series / "sagittal", ORIENTATIONS["sagittal"], count=9)
    found = SourceFolder(a_series).series_of(a_case_of_the_series)
    assert {item.path.parent for item in found.slices} == {a_series}
    with pytest.raises(BadInputError, match="voxels differ"):
        wrong = next(
            n for n, s in enumerate(SourceFolder(a_series).series, 1) if s.slices[0].path.parent.name == "scan"
        )
        SourceFolder(a_series).series_of(a_case_of_the_series, wrong)


def test_the_scan_twice_asks_which(a_case_of_the_series: Case, a_series: Path, write_series: WriteSeries) -> None:
    write_series(a_series / "copy")
    with pytest.raises(BadInputError, match=r"has the scan 2 times, choose one with --series: 1: CT, 7 images"):
        SourceFolder(a_series).series_of(a_case_of_the_series)
    uid = SourceFolder(a_series).series[1].uid
    chosen = SourceFolder(a_series).series_of(a_case_of_the_series, uid)
    assert {item.series_uid for item in chosen.slices} == {uid}
    with pytest.raises(BadInputError, match='no series "7"'):
        SourceFolder(a_series).series_of(a_case_of_the_series, 7)


def test_folders_that_hold_no_series_are_refused(a_case_of_the_series: Case, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="is no folder"):
        SourceFolder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="no DICOM images"):
        SourceFolder(tmp_path / "empty").series_of(a_case_of_the_series)


def test_what_anonymizers_took_away_is_left_empty(write_series: WriteSeries, case_on: CaseOn, tmp_path: Path) -> None:
    def strip(n: int, image: pydicom.Dataset) -> None:
        for name in ("PatientName", "PatientBirthDate", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"):
            delattr(image, name)
        image.PatientSex = "U"

    series = write_series(tmp_path / "dicom", change=strip)
    seg = seg_of(case_on(read_volume(series)), series, tmp_path / "seg.dcm")
    assert seg.PatientID == "12345" and not seg.PatientName and not seg.StudyDate and not seg.PatientSex


def test_a_series_that_cannot_be_referred_to_is_named(
    write_series: WriteSeries, case_on: CaseOn, tmp_path: Path
) -> None:
    def strip(n: int, image: pydicom.Dataset) -> None:
        del image.FrameOfReferenceUID

    series = write_series(tmp_path / "dicom", change=strip)
    with pytest.raises(BadInputError, match=r"dcm\" has no FrameOfReferenceUID"):
        seg_of(case_on(read_volume(series)), series, tmp_path / "seg.dcm")


def test_without_highdicom_the_sentence_says_what_to_install(
    a_case_of_the_series: Case, a_series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def missing(name: str, *values: Any, **named: Any) -> Any:
        if name == "highdicom":
            raise ImportError(name)
        return real(name, *values, **named)

    monkeypatch.delitem(sys.modules, "highdicom")
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(BadInputError, match="pip install"):
        seg_of(a_case_of_the_series, a_series, tmp_path / "seg.dcm")


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flips", range(8))
def test_turning_a_grid_and_its_voxels_keeps_every_voxel_in_place(axes: Any, flips: int) -> None:
    flipped = (bool(flips & 1), bool(flips & 2), bool(flips & 4))
    c, s = math.cos(0.4), math.sin(0.4)
    grid = Geometry((4, 3, 5), (0.7, 1.1, 2.0), (-12.0, 5.0, 40.0), (c, -s, 0, s, c, 0, 0, 0, 1))
    voxels = np.arange(60).reshape(grid.shape)
    turn = Turn(axes, flipped)
    other, moved = turn.of_grid(grid), turn.apply(voxels)
    assert moved.shape == other.shape
    assert np.array_equal(turn.undo(moved), voxels)
    assert turn_between(grid, other) == turn
    for k, j, i in np.ndindex(grid.shape):
        there = np.rint(other.ijk_of(grid.ras_of((i, j, k)))).astype(int)
        assert moved[there[2], there[1], there[0]] == voxels[k, j, i]
        assert np.allclose(other.ras_of(there), grid.ras_of((i, j, k)))
