"""What the worker is given: read back by the worker's own readers, in the right place, and without anybody's name."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.experts import Expert, load_experts
from DeferredSegSlicerLib.core.prompts import read_prompts
from DeferredSegSlicerLib.core.structures import Box, Code, Structure, Terminology, make_structures
from DeferredSegSlicerLib.core.volume import read_volume
from DeferredSegSlicerLib.mrml.case_files import plan_request, write_request
from DeferredSegSlicerLib.mrml.grid import align, array_of, geometry_of
from DeferredSegSlicerLib.mrml.prompts import add_box, entry_of_box, structures_of
from DeferredSegSlicerLib.mrml.same_scan import check_same_scan
from hard_volumes import GRID_OF_FILE, HARD_VOLUMES, OBLIQUE, PLAIN, bspline, scan_on
from places import itk_image, places_by_value, places_in_file

each_hard_volume = pytest.mark.parametrize("kind", HARD_VOLUMES)
EVERYWHERE = make_structures([("Liver", Box((-9e3, -9e3, -9e3), (9e3, 9e3, 9e3)))])


@each_hard_volume
def test_every_voxel_that_the_worker_gets_is_in_its_place(
    scene: Any, tmp_path: Path, three_experts: tuple[Expert, ...], kind: str
) -> None:
    node = HARD_VOLUMES[kind](scene, tmp_path)
    request = write_request(tmp_path / "job", node, EVERYWHERE, three_experts)
    expected = places_by_value(itk_image(scan_on(GRID_OF_FILE[kind]), GRID_OF_FILE[kind]))
    written = places_in_file(request.image)
    assert written.keys() == expected.keys()
    assert all(np.allclose(written[value], expected[value], atol=1e-6) for value in expected)


@each_hard_volume
def test_a_case_of_what_was_written_lies_on_the_node_as_it_is(
    scene: Any,
    tmp_path: Path,
    three_experts: tuple[Expert, ...],
    write_a_case: Callable[..., Case],
    kind: str,
) -> None:
    node = HARD_VOLUMES[kind](scene, tmp_path)
    request = write_request(tmp_path / "job", node, EVERYWHERE, three_experts)
    volume = read_volume(request.image, modality=request.modality)
    assert np.array_equal(volume.image, array_of(node)) and volume.geometry.differences_from(geometry_of(node)) == []
    case = write_a_case(tmp_path / "case", volume)
    alignment = align(case.geometry, node)
    assert alignment.identity
    check_same_scan(case, node, alignment)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "uint32", "int64", "float32", "float64"])
def test_any_voxel_type_of_slicer_arrives_with_its_values(
    a_volume_node: Callable[..., Any],
    tmp_path: Path,
    three_experts: tuple[Expert, ...],
    write_a_case: Callable[..., Case],
    dtype: str,
) -> None:
    voxels = (scan_on(PLAIN) + 1000) % 251
    node = a_volume_node((voxels / (1 if "int" in dtype else 7)).astype(dtype), PLAIN)
    request = write_request(tmp_path / "job", node, EVERYWHERE, three_experts)
    case = write_a_case(tmp_path / "case", read_volume(request.image))
    assert np.allclose(case.image(), array_of(node), rtol=1e-7)
    check_same_scan(case, node, align(case.geometry, node))


def test_prompts_experts_and_modality_arrive_whole(
    scene: Any, a_volume_node: Callable[..., Any], tmp_path: Path, three_experts: tuple[Expert, ...]
) -> None:
    node = a_volume_node(grid=PLAIN)
    roi = add_box(scene, node, (14.0, -38.0, 420.0), (6.0, 5.0, 4.0), "Liver", (0.8, 0.2, 0.2))
    codes = Terminology(Code("SCT", "1", "Category"), Code("SCT", "2", "Type"), Code("SCT", "3", "Side"))
    names = ["Läsion 1", "L-sion 1", "名前", "right kidney", "a|b: c", "Segment_1"]
    entries = [entry_of_box(roi, name, (0.1, 0.2, n / 7), codes if n else None) for n, name in enumerate(names)]
    structures = structures_of(entries, scene, node)
    request = write_request(tmp_path / "job", node, structures, three_experts, "MR")
    assert tuple(read_prompts(request.prompts)) == structures
    assert load_experts(request.experts) == three_experts and request.modality == "MR"
    assert write_request(tmp_path / "job", node, structures, three_experts).modality == "CT"


def test_structures_without_boxes_arrive_too(
    a_volume_node: Callable[..., Any], tmp_path: Path, three_experts: tuple[Expert, ...]
) -> None:
    structures = make_structures([("Liver", None), ("Spleen", None)])
    request = write_request(tmp_path / "job", a_volume_node(), structures, three_experts)
    assert read_prompts(request.prompts) == structures


def test_no_name_of_the_patient_gets_into_a_file_or_its_name(
    scene: Any, a_volume_node: Callable[..., Any], tmp_path: Path, three_experts: tuple[Expert, ...]
) -> None:
    node = a_volume_node(name="DOE^JANE 1958")
    node.SetAttribute("DICOM.PatientName", "DOE^JANE")
    node.SetDescription("DOE^JANE")
    roi = add_box(scene, node, geometry_of(node).ras_of((6, 5, 4)), 6.0, "Liver", (0.8, 0.2, 0.2))
    roi.SetName("DOE^JANE")
    structures = structures_of([entry_of_box(roi, "Liver", (0.8, 0.2, 0.2))], scene, node)
    folder = tmp_path / "job"
    write_request(folder, node, structures, three_experts)
    assert sorted(os.listdir(folder)) == ["experts.json", "image.nrrd", "prompts.json"]
    for path in folder.iterdir():
        content = path.read_bytes()
        header = content.split(b"\n\n")[0] if path.suffix == ".nrrd" else content
        assert b"DOE" not in header.upper() and b"JANE" not in header.upper()
    assert json.loads((folder / "prompts.json").read_text())["structures"][0]["name"] == "Liver"


def test_what_cannot_be_used_is_refused_and_nothing_is_written(
    scene: Any, a_volume_node: Callable[..., Any], tmp_path: Path, three_experts: tuple[Expert, ...]
) -> None:
    node, folder = a_volume_node(), tmp_path / "job"
    far = [Structure("Liver", "Liver", Box((900, 900, 900), (901, 901, 901)))]
    with pytest.raises(BadInputError, match='box for "Liver" lies outside the volume'):
        write_request(folder, node, far, three_experts)
    with pytest.raises(BadInputError, match="0 experts given"):
        write_request(folder, node, EVERYWHERE, ())
    with pytest.raises(BadInputError, match="is empty: every voxel is 4"):
        write_request(folder, a_volume_node(np.full(OBLIQUE.shape, 4, np.int16)), EVERYWHERE, three_experts)
    node.SetAndObserveTransformNodeID(bspline(scene).GetID())
    with pytest.raises(BadInputError, match="non-linear transform"):
        write_request(folder, node, EVERYWHERE, three_experts)
    assert not folder.exists()


def test_a_folder_that_cannot_be_made_is_named(
    a_volume_node: Callable[..., Any], tmp_path: Path, three_experts: tuple[Expert, ...]
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInputError, match=r'file.job" cannot be written: a part of its path is not a folder'):
        write_request(tmp_path / "file" / "job", a_volume_node(), EVERYWHERE, three_experts)


def test_a_planned_job_can_be_written_by_a_thread_even_if_its_volume_is_gone_by_then(
    scene: Any, a_volume_node: Callable[..., Any], tmp_path: Path, three_experts: tuple[Expert, ...]
) -> None:
    node = a_volume_node()
    planned = plan_request(tmp_path / "job", node, EVERYWHERE, three_experts)
    assert not (tmp_path / "job").exists()
    scene.RemoveNode(node)
    del node
    writer = threading.Thread(target=planned.write)
    writer.start()
    writer.join()
    assert np.array_equal(read_volume(planned.request.image).image, scan_on(OBLIQUE))
