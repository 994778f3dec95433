"""Write `qt_api.json`, the part of a real Slicer's introspection that the bench and the static tests need.

    python Testing/qtbench/reduce_api.py FULL_TABLE.json

A class keeps what its base (the first of `BASES` whose members it has in full) does not already say; private slots and
everything that no test reads are left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).with_name("qt_api.json")
BASES = ("qt.QTableView", "qt.QComboBox", "qt.QPushButton", "qt.QCheckBox", "qt.QDialog", "qt.QFrame", "qt.QWidget")
PARTS = ("properties", "signals", "slots", "methods", "attributes")


def _members(entry: dict[str, Any]) -> dict[str, Any]:
    """One class in the shape of the output: properties as {name: type}, read-only ones with a trailing "!"."""
    properties = {name: p["type"] + ("" if p["writable"] else "!") for name, p in entry["properties"].items()}
    return {
        "properties": properties,
        "signals": sorted(set(entry["signals"])),
        "slots": sorted({slot for slot in entry["slots"] if not slot.startswith("_q_")}),
        "methods": sorted(set(entry.get("methods", []))),
        "attributes": sorted(set(entry["python_attributes"])),
    }


def _without(members: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    rest = {"properties": {k: v for k, v in members["properties"].items() if base["properties"].get(k) != v}}
    return rest | {part: sorted(set(members[part]) - set(base[part])) for part in PARTS[1:]}


def _holds(members: dict[str, Any], base: dict[str, Any]) -> bool:
    return all(set(base[part]) <= set(members[part]) for part in PARTS)


def reduce(table: dict[str, Any]) -> dict[str, Any]:
    """The table that the bench reads: `classes`, `modules` ({module: [names]}), `slicer`, `slicer_modules`."""
    whole = {name: _members(entry) for name, entry in table["classes"].items()}
    classes = {}
    for name, members in whole.items():
        base = next((b for b in BASES if b != name and _holds(members, whole[b])), None)
        kept = {part: value for part, value in _without(members, whole[base]).items() if value} if base else members
        classes[name] = kept | ({"base": base} if base else {})
    return {
        "slicer_version": table["slicer_version"],
        "qt_version": table["qt_version"],
        "classes": classes,
        "modules": table["python_modules"],
        "slicer": table["slicer_names"],
        "slicer_modules": table["module_names"],
        "segment_editor_effects": table["segment_editor_effects"],
    }


if __name__ == "__main__":
    reduced = reduce(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    OUTPUT.write_text(json.dumps(reduced, separators=(",", ":"), sort_keys=True) + "\n", encoding="utf-8")
