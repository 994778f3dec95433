"""A case that travels inside the scene: back byte for byte on another computer, refused if anything is not right."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from case_on_node import case_of_scan, node_ids
from DeferredSegSlicerLib.core.case import Case, check_case, open_case
from DeferredSegSlicerLib.core.errors import BadInputError, DamagedCaseError
from DeferredSegSlicerLib.core.nrrd import write_nrrd
from DeferredSegSlicerLib.core.volume import Volume
from DeferredSegSlicerLib.mrml import embedding, packing
from DeferredSegSlicerLib.mrml.embedding import embed, embedded_cases, restore
from hard_volumes import GRID_OF_FILE, HARD_VOLUMES, OBLIQUE, PLAIN, node_from_array, scan_on

CaseOn = Callable[..., Case]


@pytest.fixture
def case_on(tmp_path: Path, write_a_case: Callable[..., Case]) -> CaseOn:
    """A function that writes a case of noise on a grid."""
    return lambda grid=OBLIQUE, name="case", **changes: case_of_scan(write_a_case, tmp_path / name, grid, **changes)


@pytest.fixture
def a_volume(scene: Any) -> Any:
    """The volume node of `case_on()`."""
    return node_from_array(scene, scan_on(OBLIQUE), OBLIQUE)


@pytest.fixture
def an_embedding(scene: Any, case_on: CaseOn, a_volume: Any) -> Any:
    """The text node of a case in a scene whose case folder is gone."""
    case = case_on()
    node = embed(scene, case)
    shutil.rmtree(case.folder)
    return node


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def moved_to_another_computer(scene: Any, path: Path) -> Any:
    """Save the scene as .mrb, close it and read it again; returns the volume node."""
    assert scene.WriteToMRB(str(path))
    scene.Clear(0)
    assert scene.ReadFromMRB(str(path), True)
    return scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")


@pytest.mark.parametrize("name", [name for name in HARD_VOLUMES if "transform" not in name])
def test_a_case_comes_back_byte_for_byte_through_a_saved_scene(
    scene: Any, tmp_path: Path, case_on: CaseOn, name: str
) -> None:
    case = case_on(GRID_OF_FILE[name])
    HARD_VOLUMES[name](scene, tmp_path)
    embed(scene, case)
    before = files_of(case.folder)
    shutil.rmtree(case.folder)
    volume = moved_to_another_computer(scene, tmp_path / "saved.mrb")

    restored = restore(scene, volume, tmp_path / "new" / "place")
    assert restored.id == case.id and restored.folder == tmp_path / "new" / "place"
    assert check_case(restored.folder) == [] and open_case(restored.folder).record == case.record
    assert files_of(restored.folder) == before


def test_it_also_comes_through_a_scene_saved_as_separate_files(scene: Any, tmp_path: Path, an_embedding: Any) -> None:
    text = an_embedding.GetText()
    (tmp_path / "separate").mkdir()
    scene.SetRootDirectory(str(tmp_path / "separate"))
    assert scene.Commit(str(tmp_path / "separate" / "scene.mrml"))
    assert len((tmp_path / "separate" / "scene.mrml").read_text()) < len(text)
    scene.Clear(0)
    scene.SetURL(str(tmp_path / "separate" / "scene.mrml"))
    assert scene.Connect()
    assert scene.GetFirstNodeByClass("vtkMRMLTextNode").GetText() == text


def test_a_review_comes_along_without_locks_and_unfinished_writes(
    scene: Any, tmp_path: Path, case_on: CaseOn, a_volume: Any
) -> None:
    case = case_on()
    review = case.folder / "review"
    (review / "deeper").mkdir(parents=True)
    kept = {
        "review/reader-ä.jsonl": b'{"decision": "accept"}\n',
        "review/corrected.seg.nrrd": bytes(range(256)) * 50,
        "review/deeper/note.txt": b"",
    }
    for name, data in kept.items():
        (case.folder / name).write_bytes(data)
    (review / ".reader.lock").touch()
    (review / ".writing-0123").write_bytes(b"half")
    (review / "link.txt").symlink_to(case.folder / "case.json")
    embed(scene, case)
    shutil.rmtree(case.folder)
    back = files_of(restore(scene, a_volume, tmp_path / "back").folder)
    assert {name: data for name, data in back.items() if name.startswith("review/")} == kept


def test_a_review_that_has_grown_replaces_what_was_embedded(scene: Any, case_on: CaseOn) -> None:
    case = case_on()
    node, nodes = embed(scene, case), node_ids(scene)
    before = node.GetText()
    (case.folder / "review").mkdir()
    (case.folder / "review" / "me.jsonl").write_text("{}\n")
    assert embed(scene, case) is node and node_ids(scene) == nodes and node.GetText() != before


def test_an_unchanged_case_is_not_embedded_again(scene: Any, case_on: CaseOn) -> None:
    case = case_on()
    node = embed(scene, case)
    before, nodes = node.GetMTime(), node_ids(scene)
    assert embed(scene, case) is node and node.GetMTime() == before and node_ids(scene) == nodes


def test_a_case_may_be_packed_in_a_thread_beforehand(
    scene: Any, tmp_path: Path, case_on: CaseOn, a_volume: Any
) -> None:
    case = case_on()
    with ThreadPoolExecutor(1) as pool:
        text = pool.submit(packing.pack, case).result()
    shutil.rmtree(case.folder)
    embed(scene, case, text)
    assert check_case(restore(scene, a_volume, tmp_path / "back").folder) == []


def test_the_node_is_hidden_and_is_saved_in_a_file_of_its_own(scene: Any, case_on: CaseOn) -> None:
    node = embed(scene, case_on())
    assert node.GetHideFromEditors() and node.GetSaveWithScene() and not node.GetUndoEnabled()
    assert node.GetStorageNode().GetClassName() == "vtkMRMLTextStorageNode"


def test_nothing_of_the_image_is_in_it(scene: Any, case_on: CaseOn) -> None:
    case = case_on()
    content = json.loads(embed(scene, case).GetText())
    assert [file["name"] for file in content["files"]] == [
        "case.json",
        "probability.nrrd",
        "routing.nrrd",
        "segmentation.seg.nrrd",
        "uncertainty/margin.nrrd",
    ]


def test_a_scene_holds_several_cases_and_gives_back_the_one_that_is_asked_for(
    scene: Any, tmp_path: Path, case_on: CaseOn, a_volume: Any
) -> None:
    first, second = case_on(), case_on(name="second", method="entropy")
    for case in (first, second):
        embed(scene, case)
    assert set(embedded_cases(scene)) == {first.id, second.id}
    with pytest.raises(BadInputError, match="2 cases"):
        restore(scene, a_volume, tmp_path / "back")
    assert restore(scene, a_volume, tmp_path / "back", second.id).method == "entropy"
    nodes = node_ids(scene)
    embedding.remove(scene, second.id)
    assert embedded_cases(scene) == (first.id,) and len(node_ids(scene)) == len(nodes) - 2
    with pytest.raises(BadInputError, match="does not hold this case"):
        restore(scene, a_volume, tmp_path / "again", second.id)


def test_a_case_that_only_refers_to_its_image_has_it_afterwards(
    scene: Any, tmp_path: Path, write_a_case: Callable[..., Case], a_volume: Any
) -> None:
    scan = tmp_path / "scan.nrrd"
    write_nrrd(scan, scan_on(OBLIQUE), OBLIQUE)
    referring = Volume(scan_on(OBLIQUE), OBLIQUE, "CT", source=str(scan))
    case = write_a_case(tmp_path / "case", referring, reference_image=True)
    embed(scene, case)
    scan.unlink()
    restored = restore(scene, a_volume, tmp_path / "back")
    assert check_case(restored.folder) == [] and np.array_equal(restored.image(), scan_on(OBLIQUE))


def test_an_image_that_another_zlib_packs_differently_is_recorded_as_it_is(
    scene: Any, tmp_path: Path, an_embedding: Any, a_volume: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("DeferredSegSlicerLib.core.nrrd.COMPRESSION_LEVEL", 9)
    restored = restore(scene, a_volume, tmp_path / "back")
    assert check_case(restored.folder) == [] and np.array_equal(restored.image(), scan_on(OBLIQUE))


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_a_volume_that_was_saved_in_another_type_is_the_same_scan(
    scene: Any, tmp_path: Path, an_embedding: Any, dtype: Any
) -> None:
    volume = node_from_array(scene, scan_on(OBLIQUE).astype(dtype), OBLIQUE)
    assert restore(scene, volume, tmp_path / "back").image().dtype == np.int16


def other_voxel(image: np.ndarray) -> np.ndarray:
    changed = image.copy()
    changed[3, 4, 5] += 1
    return changed


@pytest.mark.parametrize(
    ("image", "grid", "sentence"),
    [
        (other_voxel(scan_on(OBLIQUE)), OBLIQUE, "other voxels"),
        (scan_on(OBLIQUE)[::-1], OBLIQUE, "other voxels"),
        (scan_on(PLAIN), PLAIN, "another patient"),
        (scan_on(OBLIQUE), replace(OBLIQUE, origin_lps=(0.0, 0.0, 0.0)), "another patient"),
    ],
    ids=["one voxel", "turned over", "another grid", "elsewhere"],
)
def test_another_patients_volume_is_refused(
    scene: Any, tmp_path: Path, an_embedding: Any, image: np.ndarray, grid: Any, sentence: str
) -> None:
    volume = node_from_array(scene, image, grid, "somebody else")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInputError, match=sentence):
        restore(scene, volume, tmp_path / "sub" / "back")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_in_use_is_left_as_it_is(scene: Any, tmp_path: Path, an_embedding: Any, a_volume: Any) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("text")
    with pytest.raises(BadInputError, match="not empty"):
        restore(scene, a_volume, tmp_path / "mine")
    assert files_of(tmp_path / "mine") == {"thesis.txt": b"text"}
    (tmp_path / "empty").mkdir()
    assert restore(scene, a_volume, tmp_path / "empty").folder == tmp_path / "empty"


def test_a_scene_without_a_case_says_so(scene: Any, tmp_path: Path, a_volume: Any) -> None:
    scene.AddNewNodeByClass("vtkMRMLTextNode", "DeferredSegSlicer case").SetText("{}")
    with pytest.raises(BadInputError, match="does not hold"):
        restore(scene, a_volume, tmp_path / "back")


def test_a_damaged_case_is_not_embedded(scene: Any, case_on: CaseOn) -> None:
    case = case_on()
    path = case.folder / "routing.nrrd"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedCaseError, match=r"routing\.nrrd was changed"):
        embed(scene, case)
    assert embedded_cases(scene) == ()


def test_a_case_too_large_for_a_scene_is_not_embedded(
    scene: Any, case_on: CaseOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MAX_BYTES", 4096)
    with pytest.raises(BadInputError, match="keep its folder"):
        embed(scene, case_on())


def test_a_review_file_that_other_systems_cannot_have_is_named(scene: Any, case_on: CaseOn) -> None:
    case = case_on()
    (case.folder / "review").mkdir()
    (case.folder / "review" / "a:b.jsonl").touch()
    with pytest.raises(BadInputError, match=r"a:b\.jsonl"):
        embed(scene, case)


def entry(name: str, data: bytes, **changes: Any) -> dict[str, Any]:
    packed = base64.b64encode(zlib.compress(data)).decode()
    return {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "packed": packed} | changes


def with_file(content: dict[str, Any], *entries: Any) -> dict[str, Any]:
    return content | {"files": [*content["files"], *entries]}


def without(content: dict[str, Any], name: str) -> dict[str, Any]:
    return content | {"files": [file for file in content["files"] if file["name"] != name]}


def replaced(content: dict[str, Any], name: str, data: bytes) -> dict[str, Any]:
    return with_file(without(content, name), entry(name, data))


def record_with(content: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    file = next(file for file in content["files"] if file["name"] == "case.json")
    record = json.loads(zlib.decompress(base64.b64decode(file["packed"])))
    change(record)
    return replaced(content, "case.json", json.dumps(record).encode())


BOMB = base64.b64encode(zlib.compress(bytes(64 << 20), 9)).decode()

FORGERIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no object": lambda c: [1, 2],
    "a newer schema": lambda c: c | {"schema": 2},
    "files missing": lambda c: {"schema": 1},
    "file is no object": lambda c: with_file(c, "case.json"),
    "no record": lambda c: without(c, "case.json"),
    "record is a list": lambda c: replaced(c, "case.json", b"[]"),
    "record is cut off": lambda c: replaced(c, "case.json", b'{"schema": 1,'),
    "record of another case": lambda c: record_with(c, lambda r: r.update(id="other")),
    "record of a newer schema": lambda c: record_with(c, lambda r: r.update(schema=99)),
    "record names a foreign file": lambda c: record_with(c, lambda r: r["files"].update({"../x": {}})),
    "map missing": lambda c: without(c, "routing.nrrd"),
    "map of another case": lambda c: replaced(c, "routing.nrrd", b"NRRD0004\n"),
    "the same file twice": lambda c: with_file(c, entry("review/a", b""), entry("review/A", b"")),
    "a file that is a folder": lambda c: with_file(c, entry("review/a", b""), entry("review/a/b", b"")),
    "path up": lambda c: with_file(c, entry("review/../../escaped", b"x")),
    "path up with backslashes": lambda c: with_file(c, entry("review\\..\\escaped", b"x")),
    "absolute path": lambda c: with_file(c, entry("/tmp/escaped", b"x")),
    "drive letter": lambda c: with_file(c, entry("C:/escaped", b"x")),
    "hidden file": lambda c: with_file(c, entry("review/.bashrc", b"x")),
    "device name": lambda c: with_file(c, entry("review/con.txt", b"x")),
    "nul sign": lambda c: with_file(c, entry("review/a\0b", b"x")),
    "empty name": lambda c: with_file(c, entry("", b"x")),
    "number as name": lambda c: with_file(c, entry(7, b"x")),  # type: ignore[arg-type]
    "foreign file": lambda c: with_file(c, entry("run.py", b"x")),
    "image": lambda c: with_file(c, entry("image.nrrd", b"x")),
    "wrong checksum": lambda c: with_file(c, entry("review/a", b"x", sha256="0" * 64)),
    "longer than it says": lambda c: with_file(c, entry("review/a", b"xyz", bytes=2)),
    "shorter than it says": lambda c: with_file(c, entry("review/a", b"xyz", bytes=4)),
    "negative length": lambda c: with_file(c, entry("review/a", b"xyz", bytes=-1)),
    "length is true": lambda c: with_file(c, entry("review/a", b"x", bytes=True)),
    "length is text": lambda c: with_file(c, entry("review/a", b"x", bytes="1")),
    "not base64": lambda c: with_file(c, entry("review/a", b"x", packed="ü!")),
    "not zlib": lambda c: with_file(c, entry("review/a", b"x", packed="AAAA")),
    "bytes after the end": lambda c: with_file(
        c, entry("review/a", b"x", packed=base64.b64encode(zlib.compress(b"x") + b"!").decode())
    ),
    "bomb": lambda c: with_file(c, entry("review/a", b"x", packed=BOMB)),
    "bomb that says so": lambda c: with_file(c, entry("review/a", b"x", packed=BOMB, bytes=2 << 30)),
    "many files": lambda c: with_file(c, *(entry(f"review/{n}", b"") for n in range(5000))),
    "deep": lambda c: json.loads("[" * 500 + "]" * 500),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_embedding_is_refused_without_a_trace_and_in_little_memory(
    scene: Any, tmp_path: Path, an_embedding: Any, a_volume: Any, forge: Callable[[dict[str, Any]], Any]
) -> None:
    """The forger gives it a right checksum."""
    text = json.dumps(forge(json.loads(an_embedding.GetText())))
    an_embedding.SetText(text)
    an_embedding.SetAttribute("DeferredSeg.Sha256", hashlib.sha256(text.encode()).hexdigest())
    before = sorted(tmp_path.rglob("*"))
    tracemalloc.start()
    try:
        with pytest.raises(DamagedCaseError, match="cannot be restored") as refusal:
            restore(scene, a_volume, tmp_path / "back")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sorted(tmp_path.rglob("*")) == before and peak < 32 << 20
    assert str(tmp_path) not in refusal.value.sentence and len(refusal.value.sentence) < 400


@pytest.mark.parametrize("where", [0, 100, -100, -1])
def test_a_changed_letter_or_a_cut_is_noticed(
    scene: Any, tmp_path: Path, an_embedding: Any, a_volume: Any, where: int
) -> None:
    text = an_embedding.GetText()
    letters = list(text)
    letters[where] = "B" if letters[where] == "A" else "A"
    for damaged in ("".join(letters), text[: where or 1], ""):
        an_embedding.SetText(damaged)
        with pytest.raises(DamagedCaseError, match="changed or cut off"):
            restore(scene, a_volume, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_an_oversized_text_is_refused_before_it_is_read(
    scene: Any, tmp_path: Path, an_embedding: Any, a_volume: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MAX_BYTES", len(an_embedding.GetText()) // 2 - 1)
    with pytest.raises(DamagedCaseError, match="larger than"):
        restore(scene, a_volume, tmp_path / "back")


def test_slicer_does_not_tell_before_it_saves(scene: Any, tmp_path: Path) -> None:
    """Why a case is embedded when it is shown. If this fails, Slicer has learned to tell, and saving may embed too."""
    told: list[int] = []
    for event in (slicer.vtkMRMLScene.StartSaveEvent, slicer.vtkMRMLScene.EndSaveEvent):
        scene.AddObserver(event, lambda caller, name: told.append(1))
    scene.AddNewNodeByClass("vtkMRMLTextNode").SetText("text")
    assert scene.WriteToMRB(str(tmp_path / "saved.mrb")) and scene.Commit(str(tmp_path / "saved.mrml"))
    assert told == []
