"""The script in docs/slicer_module.md does what it says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLERK = ROOT / "Testing" / "logic" / "clerk.py"


def test_the_example_runs_as_it_stands(
    the_module: Any,
    an_interpreter: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import slicer
    from DeferredSegSlicerLib.logic import keys
    from DeferredSegSlicerLib.ui import sample_data

    monkeypatch.setenv("DEFERREDSEG_PYTHON", str(an_interpreter(CLERK, "work")))
    cases = Path(slicer.app.temporaryPath) / "cases"
    slicer.app.userSettings().setValue(keys.CASES_FOLDER, str(cases))
    volume = sample_data.load_sample(slicer.mrmlScene)
    sample_data.place_boxes(slicer.mrmlScene, volume)
    text = (ROOT / "docs" / "slicer_module.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    before, opened, after = script.partition('"/path/to/case"')
    assert opened
    names: dict[str, Any] = {"slicer": slicer}
    exec(compile(before + "shown.case.folder" + after, "docs/slicer_module.md", "exec"), names)
    logic, shown = names["logic"], names["shown"]
    try:
        said = capsys.readouterr().out
        assert "Segmenting" in said and re.search(r"^Boundary \d+ [0-9.]+ ml \d+ min$", said, flags=re.MULTILINE)
        assert shown.budget == 0.1 and shown.off_duty == {"boundary"}
        assert logic.module.shown.case.id == shown.case.id
        assert [structure.name for structure in shown.case.structures] == ["liver"]
    finally:
        logic.close()
