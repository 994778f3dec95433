"""A case folder that is not whole, or not safe, is refused with one sentence that names the file."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case, check_case, open_case
from DeferredSegSlicerLib.core.errors import DamagedCaseError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.nrrd import write_nrrd

FILES = [
    "image.nrrd",
    "probability.nrrd",
    "routing.nrrd",
    "segmentation.seg.nrrd",
    "uncertainty/margin.nrrd",
]


def damage_in(folder: Path) -> list[str]:
    return [finding.sentence for finding in check_case(folder) if finding.is_damage]


def change_record(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    record = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    change(record)
    (folder / "case.json").write_text(json.dumps(record), encoding="utf-8")


def sign_again(folder: Path, name: str) -> None:
    """Make case.json agree with a file that was tampered with."""
    content = (folder / name).read_bytes()
    values = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change_record(folder, lambda record: record["files"].update({name: values}))


def read_everything(folder: Path) -> None:
    case = open_case(folder)
    case.volume(), case.probability(), case.routing(), case.error(), case.label()


def refused(folder: Path) -> str:
    """The sentence of DamagedCaseError with which a case is not opened or read; its exit code is 4."""
    with pytest.raises(DamagedCaseError) as error:
        read_everything(folder)
    assert error.value.exit_code == 4
    assert str(folder) in error.value.sentence and "\n" not in str(error.value)
    return error.value.sentence


def test_a_fresh_case_has_no_findings(a_case: Case) -> None:
    assert check_case(a_case.folder) == []


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [30, -1])
def test_a_changed_byte_is_found_and_named(a_case: Case, name: str, where: int) -> None:
    content = bytearray((a_case.folder / name).read_bytes())
    content[where] ^= 1
    (a_case.folder / name).write_bytes(content)
    assert len(damage_in(a_case.folder)) == 1 and name in damage_in(a_case.folder)[0]
    assert name in refused(a_case.folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_shortened_file_is_found_when_the_case_is_opened(a_case: Case, name: str) -> None:
    content = (a_case.folder / name).read_bytes()
    (a_case.folder / name).write_bytes(content[:-7])
    with pytest.raises(DamagedCaseError, match=f"{name} has {len(content) - 7} bytes, expected {len(content)}"):
        open_case(a_case.folder)
    (a_case.folder / name).unlink()
    with pytest.raises(DamagedCaseError, match=f"{name} is missing"):
        open_case(a_case.folder)
    assert damage_in(a_case.folder) == [f'case "{a_case.folder}": {name} is missing']


def test_one_broken_file_does_not_hide_another_fault(a_case: Case) -> None:
    (a_case.folder / "image.nrrd").unlink()
    (a_case.folder / "routing.nrrd").write_bytes(b"")
    sentences = " ".join(damage_in(a_case.folder))
    assert "image.nrrd" in sentences and "routing.nrrd" in sentences


def test_a_newer_schema_asks_for_an_update(a_case: Case) -> None:
    change_record(a_case.folder, lambda record: record.update(schema=2))
    assert "schema 2" in refused(a_case.folder) and "update" in refused(a_case.folder)
    assert damage_in(a_case.folder) == [refused(a_case.folder)]


@pytest.mark.parametrize("schema", [None, "1", 0, True, 1.0])
def test_a_schema_that_is_no_number_is_refused(a_case: Case, schema: Any) -> None:
    change_record(a_case.folder, lambda record: record.update(schema=schema))
    assert "no schema number" in refused(a_case.folder)


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "/etc/passwd",
        "uncertainty/../../x.nrrd",
        "uncertainty\\..\\x.nrrd",
        "C:\\x",
        "review/x",
        "",
        "a\0b",
    ],
)
def test_a_name_that_leads_out_of_the_case_is_refused(a_case: Case, name: str) -> None:
    change_record(a_case.folder, lambda r: r["files"].update({name: {"bytes": 1, "sha256": "0" * 64}}))
    assert "does not belong in a case" in refused(a_case.folder)


def test_an_image_by_another_name_is_refused(a_case: Case) -> None:
    change_record(a_case.folder, lambda record: record["image"].update(file="../image.nrrd"))
    assert "neither image.nrrd nor a path" in refused(a_case.folder)


@pytest.mark.parametrize("name", [*FILES, "uncertainty", "case.json"])
def test_a_link_in_the_place_of_a_file_is_refused(a_case: Case, tmp_path: Path, name: str) -> None:
    os.rename(a_case.folder / name, tmp_path / "elsewhere")
    (a_case.folder / name).symlink_to(tmp_path / "elsewhere")
    assert "is a link" in refused(a_case.folder)
    assert any("is a link" in sentence for sentence in damage_in(a_case.folder))


def test_a_pipe_in_the_place_of_a_file_does_not_hang(a_case: Case) -> None:
    (a_case.folder / "routing.nrrd").unlink()
    os.mkfifo(a_case.folder / "routing.nrrd")
    assert "routing.nrrd" in refused(a_case.folder)


@pytest.mark.parametrize("name", FILES)
def test_a_header_that_claims_a_terabyte_is_refused_even_if_it_is_signed(a_case: Case, name: str) -> None:
    head, _, voxels = (a_case.folder / name).read_bytes().partition(b"\n\n")
    claimed = head.replace(b"9 8 7", b"8000 8000 100", 1)
    assert claimed != head
    (a_case.folder / name).write_bytes(claimed + b"\n\n" + voxels)
    sign_again(a_case.folder, name)
    change_record(a_case.folder, lambda record: record["geometry"].update(size=[8000, 8000, 100]))
    with pytest.raises(DamagedCaseError):
        open_case(a_case.folder)
    assert any(name in sentence and "cannot hold" in sentence for sentence in damage_in(a_case.folder))


def test_a_grid_past_any_scan_is_refused(a_case: Case) -> None:
    change_record(a_case.folder, lambda record: record["geometry"].update(size=[10**6, 10**6, 10**6]))
    assert "voxels" in refused(a_case.folder)


def test_a_signed_map_of_another_place_is_refused_when_the_case_is_opened(a_case: Case) -> None:
    old = a_case.geometry
    moved = Geometry(old.size, old.spacing, (0.0, 0.0, 0.0), old.direction_lps)
    write_nrrd(a_case.folder / "routing.nrrd", a_case.routing(), moved)
    sign_again(a_case.folder, "routing.nrrd")
    with pytest.raises(DamagedCaseError, match=r"routing\.nrrd lies elsewhere than its case: origin"):
        open_case(a_case.folder)
    assert any("lies elsewhere" in sentence for sentence in damage_in(a_case.folder))


def test_a_signed_map_of_too_few_agents_is_refused(a_case: Case) -> None:
    write_nrrd(a_case.folder / "routing.nrrd", a_case.routing()[:3], a_case.geometry)
    sign_again(a_case.folder, "routing.nrrd")
    with pytest.raises(DamagedCaseError, match=r"routing\.nrrd has 3 numbers of uint8 a voxel, expected 4"):
        open_case(a_case.folder)


def test_agents_that_do_not_add_up_are_found(a_case: Case) -> None:
    routing = a_case.routing()
    routing[3, 2, 1, 0] ^= 1
    write_nrrd(a_case.folder / "routing.nrrd", routing, a_case.geometry)
    sign_again(a_case.folder, "routing.nrrd")
    assert "do not add up to 255 in slice 2" in refused(a_case.folder)
    assert len(damage_in(a_case.folder)) == 1


def test_a_segmentation_that_is_not_its_probabilitys_is_found(a_case: Case) -> None:
    probability = a_case.probability()
    probability[:, 0] = 0
    write_nrrd(a_case.folder / "probability.nrrd", probability, a_case.geometry)
    sign_again(a_case.folder, "probability.nrrd")
    read_everything(a_case.folder)
    assert "disagrees with its probability" in damage_in(a_case.folder)[0]


def test_a_label_of_no_structure_is_found(a_case: Case) -> None:
    head, _, voxels = (a_case.folder / "segmentation.seg.nrrd").read_bytes().partition(b"\n\n")
    label = bytearray(gzip.decompress(voxels))
    label[0] = 3
    (a_case.folder / "segmentation.seg.nrrd").write_bytes(head + b"\n\n" + gzip.compress(label))
    sign_again(a_case.folder, "segmentation.seg.nrrd")
    assert "has the label 3, but there are 2 structures" in refused(a_case.folder)


def test_another_patients_image_is_found_even_if_it_is_signed(a_case: Case) -> None:
    write_nrrd(a_case.folder / "image.nrrd", np.array(a_case.image())[::-1], a_case.geometry)
    sign_again(a_case.folder, "image.nrrd")
    assert "another volume" in refused(a_case.folder)
    assert any("another volume" in sentence for sentence in damage_in(a_case.folder))


def test_foreign_files_are_noted_but_no_damage(a_case: Case) -> None:
    (a_case.folder / "notes.txt").write_text("mine")
    (a_case.folder / ".writing-123456").write_text("cut off")
    (a_case.folder / "review").mkdir()
    (a_case.folder / "review" / "reader.jsonl").write_text("")
    found = check_case(a_case.folder)
    assert [finding.severity for finding in found] == ["note", "note"]
    assert "notes.txt is not part of the case" in str(found[0]) and "cut off" in str(found[1])
    read_everything(a_case.folder)


def test_a_journal_that_is_none_is_found(a_case: Case) -> None:
    (a_case.folder / "review").mkdir()
    (a_case.folder / "review" / "reader.jsonl").write_text("{}\n")
    assert damage_in(a_case.folder) == [
        f'journal "{a_case.folder / "review" / "reader.jsonl"}" line 1 was changed since it was written'
    ]
    read_everything(a_case.folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"schema": 1}',
        "[" * 100_000,
        '{"schema": 1, "x": NaN}',
        '{"schema": ' + "9" * 5000 + "}",
        '"\udcff"',
    ],
)
def test_a_case_json_that_is_damaged_is_refused(a_case: Case, text: str) -> None:
    (a_case.folder / "case.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert "case.json" in refused(a_case.folder)
    assert len(damage_in(a_case.folder)) == 1


def test_a_case_json_of_gigabytes_is_not_read(a_case: Case) -> None:
    with (a_case.folder / "case.json").open("r+b") as file:
        file.truncate(5 << 30)
    assert "larger than 16 MiB" in refused(a_case.folder)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("geometry", "size"), [9, 8]),
        (("geometry", "size"), None),
        (("geometry", "spacing_mm"), [1, 0, 1]),
        (("geometry", "spacing_mm"), ["a", 1, 1]),
        (("geometry", "origin_lps_mm"), [10**400, 0, 0]),
        (("geometry", "direction_lps"), [1] * 9),
        (("structures",), []),
        (("structures",), {}),
        (("structures", 0, "id"), "../x"),
        (("structures", 1, "id"), "Liver"),
        (("structures", 0, "color"), [1, 2]),
        (("structures", 0, "box_ras_mm"), [1, 2, 3]),
        (("structures", 0, "terminology"), 5),
        (("experts",), []),
        (("experts", 0, "id"), "edge"),
        (("experts", 0, "cost"), "free"),
        (("experts", 0, "available"), "no"),
        (("experts", 0, "name"), 5),
        (("experts", 0, "color"), ["red", 0, 0]),
        (("experts", 0, "competence"), {"foreground": "high", "background": 1, "boundary": 1}),
        (("agents",), ["model", "extent", "normal", "edge"]),
        (("method",), "../margin"),
        (("method",), "tta"),
        (("method",), 5),
        (("image", "sha256"), "abc"),
        (("image", "modality"), "US"),
        (("image", "file"), None),
        (("files", "routing.nrrd"), None),
        (("files", "routing.nrrd", "bytes"), -1),
        (("files", "routing.nrrd", "bytes"), "many"),
        (("files", "routing.nrrd", "sha256"), 5),
        (("files",), {}),
        (("settings",), []),
        (("model",), None),
    ],
)
def test_a_value_that_cannot_be_is_refused(a_case: Case, path: tuple, value: Any) -> None:
    def change(record: dict[str, Any]) -> None:
        inner: Any = record
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value

    change_record(a_case.folder, change)
    assert "case.json is damaged" in refused(a_case.folder)


@pytest.mark.parametrize("key", ["geometry", "structures", "experts", "agents", "method", "image", "files", "settings"])
def test_a_part_that_is_missing_is_named(a_case: Case, key: str) -> None:
    change_record(a_case.folder, lambda record: record.pop(key) and None)
    assert f"'{key}' is missing" in refused(a_case.folder)


def test_routing_is_checked_in_every_slice(a_case: Case) -> None:
    for k in range(a_case.geometry.shape[0]):
        routing = a_case.routing()
        routing[0, k, -1, -1] += np.uint8(1)
        write_nrrd(a_case.folder / "bad.nrrd", routing, a_case.geometry)
        good = (a_case.folder / "routing.nrrd").read_bytes()
        os.replace(a_case.folder / "bad.nrrd", a_case.folder / "routing.nrrd")
        sign_again(a_case.folder, "routing.nrrd")
        assert f"slice {k}" in refused(a_case.folder)
        (a_case.folder / "routing.nrrd").write_bytes(good)
        sign_again(a_case.folder, "routing.nrrd")
