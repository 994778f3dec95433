"""Where the boxes come from: the command line, a prompts file, or the segments of an existing segmentation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .atomic import write_json
from .errors import BadInputError
from .geometry import Geometry
from .segment_boxes import segment_boxes
from .structures import Box, Structure, Terminology, check_inside, make_structures

SCHEMA = 1
"""Version of the prompts file that this module reads and writes."""

MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class _Wanted:
    """A structure before ids and palette colors are dealt."""

    name: str
    box: Box | None
    color: tuple[float, ...] | None = None
    terminology: Terminology | None = None


def parse_box_option(text: str) -> tuple[str, Box]:
    """Name and box of `--box NAME=R0,A0,S0,R1,A1,S1` (RAS mm, lowest corner first).

    Raises
    ------
    BadInputError : no name, not six numbers, swapped corners or no volume, naming the structure.
    """
    name, equals, numbers = text.rpartition("=")
    name = name.strip()
    if not equals or not name:
        raise BadInputError(f'--box "{text}" is not NAME=R0,A0,S0,R1,A1,S1 with six numbers in RAS mm')
    try:
        values = [float(part) for part in numbers.split(",")]
    except ValueError as error:
        raise BadInputError(f'box for "{name}" has a part that is no number: "{numbers}"') from error
    return name, _box_of(name, values)


def read_prompts(path: str | Path) -> list[Structure]:
    """Structures of a prompts file.

    The file is `{"schema": 1, "structures": [{"name": "liver", "box": [R0, A0, S0, R1, A1, S1]}, ...]}` with the boxes
    in RAS mm. An entry may also have `color`, three numbers in 0..1, and `terminology`, Slicer's serialized terminology
    entry; `box` may be null for networks that need no prompt.

    Raises
    ------
    BadInputError : naming the file, and the entry that is wrong.
    """
    wanted = _read_file(path)
    try:
        return _deal(wanted)
    except BadInputError as error:
        raise BadInputError(f'prompts file "{path}": {error}') from error


def write_prompts(path: str | Path, structures: Iterable[Structure]) -> None:
    """Write a prompts file that `read_prompts` reads back to the same structures (ids are made anew from names)."""
    entries = [
        {
            "name": s.name,
            "box": [*s.box.low, *s.box.high] if s.box else None,
            "color": list(s.color),
            "terminology": s.terminology.to_slicer(),
        }
        for s in structures
    ]
    write_json(Path(path), {"schema": SCHEMA, "structures": entries})


def prompts_from_segmentation(
    path: str | Path, names: Sequence[str] = (), geometry: Geometry | None = None
) -> list[Structure]:
    """A structure with a tight box for each segment, or for those named, of a segmentation on any grid.

    The box spans the outer faces of the segment's voxels in RAS mm. See `segment_boxes.segment_boxes` for the files
    and for how segments are named.

    Parameters
    ----------
    geometry : if given, every box must reach this volume.

    Raises
    ------
    BadInputError : an unknown or an empty segment, a box outside the volume, a file that is no segmentation.
    """
    structures = _deal(_from_segmentation(path, names))
    if geometry is not None:
        check_inside(structures, geometry)
    return structures


def gather_structures(
    boxes: Sequence[str] = (),
    prompts: str | Path | None = None,
    segmentation: str | Path | None = None,
    segments: Sequence[str] = (),
    geometry: Geometry | None = None,
) -> list[Structure]:
    """All structures that a command line asks for: `--box` texts, then the prompts file's, then the segmentation's.

    Raises BadInputError for two of one name, none at all, `segments` without a segmentation, or, with a geometry, a
    box that does not reach the volume.
    """
    wanted = [_Wanted(*parse_box_option(text)) for text in boxes]
    if prompts is not None:
        wanted += _read_file(prompts)
    if segments and segmentation is None:
        raise BadInputError(f'segment "{segments[0]}" was asked for, but no segmentation was given to take it from')
    if segmentation is not None:
        wanted += _from_segmentation(segmentation, segments)
    structures = _deal(wanted)
    if geometry is not None:
        check_inside(structures, geometry)
    return structures


def _deal(wanted: Sequence[_Wanted]) -> list[Structure]:
    """Structures with unique ids, and with palette colors and codes by name where none were given."""
    return [
        replace(s, color=w.color or s.color, terminology=w.terminology or s.terminology)  # type: ignore[arg-type]
        for s, w in zip(make_structures([(w.name, w.box) for w in wanted]), wanted, strict=True)
    ]


def _from_segmentation(path: str | Path, names: Sequence[str]) -> list[_Wanted]:
    """The segments' names, boxes and codes; not their colors, which may be those of the experts."""
    return [_Wanted(name, box, terminology=terminology) for name, box, terminology in segment_boxes(Path(path), names)]


def _read_file(path: str | Path) -> list[_Wanted]:
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise BadInputError(f'prompts file "{path}" is larger than {MAX_FILE_BYTES} bytes')
        content = json.loads(raw.decode("utf-8"))
    except FileNotFoundError as error:
        raise BadInputError(f'prompts file "{path}" does not exist') from error
    except OSError as error:
        raise BadInputError(f'prompts file "{path}" cannot be read: {error.strerror or error}') from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BadInputError(f'prompts file "{path}" is not JSON: {error}') from error
    if not isinstance(content, dict) or not isinstance(content.get("structures"), list):
        raise BadInputError(f'prompts file "{path}" is not {{"schema": 1, "structures": [...]}}')
    schema = content.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise BadInputError(f'prompts file "{path}" has schema {schema!r}, expected {SCHEMA}')
    try:
        return [_read_entry(number, entry) for number, entry in enumerate(content["structures"], 1)]
    except BadInputError as error:
        raise BadInputError(f'prompts file "{path}": {error}') from error


def _read_entry(number: int, entry: Any) -> _Wanted:
    if not isinstance(entry, dict):
        raise BadInputError(f"entry {number} is not an object with a name and a box")
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip():
        raise BadInputError(f"entry {number} has no name")
    name = name.strip()
    unknown = sorted(set(entry) - {"name", "box", "color", "terminology"})
    if unknown:
        raise BadInputError(f'entry {number}, "{name}", has the unknown field "{unknown[0]}"')
    if "box" not in entry:
        raise BadInputError(f'entry {number}, "{name}", has no box')
    box = None if entry["box"] is None else _box_of(name, _numbers(number, name, "box", entry["box"]))
    color = tuple(_numbers(number, name, "color", entry["color"])) if "color" in entry else None
    text = entry.get("terminology")
    if text is not None and not isinstance(text, str):
        raise BadInputError(f'entry {number}, "{name}": terminology is not a text')
    try:
        terminology = Terminology.from_slicer(text) if text is not None else None
        wanted = _Wanted(name, box, color, terminology)
        _deal([wanted])
    except BadInputError as error:
        raise BadInputError(f'entry {number}, "{name}": {error}') from error
    return wanted


def _numbers(number: int, name: str, field: str, values: Any) -> list[float]:
    if not isinstance(values, list) or not all(type(v) in (int, float) for v in values):
        raise BadInputError(f'entry {number}, "{name}": {field} is not a list of numbers')
    return [float(v) for v in values]


def _box_of(name: str, numbers: Sequence[float]) -> Box:
    try:
        return Box.of_numbers(numbers)
    except BadInputError as error:
        raise BadInputError(f'box for "{name}": {error}') from error
