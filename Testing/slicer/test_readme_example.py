"""The script in README.md does what it says."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLERK = ROOT / "Testing" / "logic" / "clerk.py"
FOLDER = "/path/to/folder"


def test_the_example_segments_reviews_and_exports(
    the_module: Any,
    an_interpreter: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import slicer
    from DeferredSegSlicerLib.core.case import open_case
    from DeferredSegSlicerLib.core.review import read_review
    from DeferredSegSlicerLib.logic import keys
    from DeferredSegSlicerLib.ui import sample_data

    monkeypatch.setenv("DEFERREDSEG_PYTHON", str(an_interpreter(CLERK, "work")))
    slicer.app.userSettings().setValue(keys.CASES_FOLDER, str(tmp_path / "cases"))
    sample_data.place_boxes(slicer.mrmlScene, sample_data.load_sample(slicer.mrmlScene))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert f'"{FOLDER}"' in script
    out = tmp_path / "out"
    names: dict[str, Any] = {"slicer": slicer}
    try:
        exec(compile(script.replace(FOLDER, out.as_posix()), "README.md", "exec"), names)
    finally:
        if "logic" in names:
            names["logic"].close()
    said = capsys.readouterr().out
    assert "Segmenting" in said and re.search(r"^Boundary: \d+ regions, [0-9.]+ ml, \d+ min$", said, flags=re.MULTILINE)
    assert "NOT reviewed" in said
    shown = names["shown"]
    assert shown.budget == 0.02
    kinds = [entry.decision.kind for entry in read_review(open_case(shown.case.folder)).of("boundary").active]
    assert kinds == ["accept", "alternative"]
    assert any(path.name.endswith(".seg.nrrd") for path in out.iterdir())
    (regions,) = out.glob("*_regions.csv")
    with regions.open(encoding="utf-8", newline="") as file:
        states = [row["status"] for row in csv.DictReader(file)]
    assert states.count("accepted") + states.count("edited") == 2 < len(states)
