"""The module file in a look-alike of Slicer: metadata, panel, reload, sample data, and the logic without a widget."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qtbench.slicer_python import load_module, modules_restored

ROOT = Path(__file__).parents[2]
MODULE_FILE = ROOT / "DeferredSegSlicer" / "DeferredSegSlicer.py"
CLERK = ROOT / "Testing" / "logic" / "clerk.py"


def observers(scene: Any) -> int:
    """How many observers there are on the scene, whoever's."""
    return str(scene).count("EventName:")


@pytest.fixture
def a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An interpreter that runs a clerk, whatever it is told, chosen by DEFERREDSEG_PYTHON."""
    path = tmp_path / "python-clerk"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{CLERK}" work ""\n')
    path.chmod(0o755)
    monkeypatch.setenv("DEFERREDSEG_PYTHON", str(path))
    return path


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, bench: Any) -> list[dict[str, Any]]:
    """What is registered with Slicer's Sample Data module, which loads it too."""
    registered: list[dict[str, Any]] = []

    class SampleDataLogic:
        categories: list[str] = []  # noqa: RUF012

        @classmethod
        def registerCustomSampleDataCategory(cls, name: str, title: str = "") -> None:
            cls.categories.append(name)

        @staticmethod
        def registerCustomSampleDataSource(**source: Any) -> None:
            if source not in registered:  # as Slicer does
                registered.append(source)

        def downloadSamples(self, name: str) -> list[Any]:
            import slicer.util

            return [slicer.util.loadVolume(str(ROOT / "Resources" / "SampleData" / "body_ct.nrrd"))]

    module = types.ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "SampleData", module)
    return registered


@pytest.fixture
def the_module(bench: Any, scene: Any, a_worker: Path, sources: Any) -> Iterator[Any]:
    """The module, loaded as Slicer loads it."""
    with modules_restored("DeferredSegSlicerLib"):  # a reload reads the library anew; other tests go on with theirs
        module = load_module(MODULE_FILE)
        yield module
        module.bench_close()


def test_the_metadata_says_what_it_is_and_what_it_is_not_for(the_module: Any) -> None:
    assert the_module.title == "Deferred Segmentation" and the_module.categories == ["Segmentation"]
    assert "Research use only" in the_module.helpText
    assert "LiteMedSAM" in the_module.acknowledgementText and the_module.contributors
    assert not the_module.icon.isNull()


def test_the_sample_is_offered_once_slicer_has_started(the_module: Any, sources: list[dict[str, Any]]) -> None:
    import hashlib
    import urllib.parse
    import urllib.request

    import slicer

    assert sources == []
    slicer.app.bench_emit("startupCompleted()")
    (source,) = sources
    path = Path(urllib.request.url2pathname(urllib.parse.urlparse(source["uris"]).path))
    algorithm, _, digest = source["checksums"].partition(":")
    assert algorithm == "SHA256" and hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert Path(source["thumbnailFileName"]).is_file()
    assert sys.modules["SampleData"].SampleDataLogic.categories[-1] == source["category"]


def test_an_older_slicer_without_categories_gets_the_sample_too(the_module: Any, sources: list[dict[str, Any]]) -> None:
    import slicer

    del sys.modules["SampleData"].SampleDataLogic.registerCustomSampleDataCategory
    slicer.app.bench_emit("startupCompleted()")
    assert len(sources) == 1


def test_the_panel_comes_with_the_widget_and_goes_with_it(the_module: Any, scene: Any) -> None:
    before = observers(scene)
    the_module.bench_enter()
    panel = the_module.bench_panel.panel
    assert panel.ui.segmentButton.text == "Segment with deferral" and panel.shortcuts.alive
    the_module.bench_exit()
    assert panel.shortcuts.alive == {}
    logic = the_module.bench_panel.logic
    the_module.bench_close()
    the_module.widgetRepresentation().setMRMLScene(None)  # the C++ widget around the panel has observers of its own
    assert observers(scene) == before
    assert the_module.bench_panel.panel is None and logic.module.worker_state.value == "stopped"


def test_leaving_and_entering_leaks_no_observer(the_module: Any, scene: Any) -> None:
    the_module.bench_enter()
    the_module.bench_exit()
    before = observers(scene)
    for _ in range(5):
        the_module.bench_enter()
        the_module.bench_exit()
    assert observers(scene) == before


def test_a_reload_reads_the_library_anew_and_leaks_nothing(the_module: Any, scene: Any) -> None:
    the_module.bench_enter()
    before = observers(scene)
    for _ in range(3):
        old = the_module.bench_panel
        old_panel, old_library = old.panel, sys.modules["DeferredSegSlicerLib.ui.panel"]
        old.onReload()
        assert the_module.bench_panel is not old and old.panel is None
        assert sys.modules["DeferredSegSlicerLib.ui.panel"] is not old_library
        assert len(old_panel.observers) == 0 and old_panel.shortcuts.alive == {}
        assert the_module.bench_panel.panel.shortcuts.alive, "the reloaded panel is in front, but not entered"
    assert observers(scene) == before


def test_a_panel_that_could_not_be_set_up_can_still_be_left(the_module: Any) -> None:
    widget = the_module.widgetRepresentation()
    broken = sys.modules["DeferredSegSlicer"].DeferredSegSlicerWidget(widget)
    broken.enter(), broken.exit(), broken.cleanup()


def test_the_logic_segments_without_a_widget(the_module: Any, scene: Any, sources: Any) -> None:
    from DeferredSegSlicerLib.ui import sample_data

    logic = sys.modules["DeferredSegSlicer"].DeferredSegSlicerLogic()
    node = sample_data.load_sample(scene)
    boxes = [(e.name, scene.GetNodeByID(e.node_id)) for e in sample_data.place_boxes(scene, node)]
    stages: list[str] = []
    case_folder = Path(logic.services.cases_folder()) / "mine"
    shown = logic.segment(
        node, boxes, budget=0.1, progress=lambda status: stages.append(status.stage), caseFolder=str(case_folder)
    )
    assert [s.name for s in shown.case.structures] == ["liver", "spleen", "right kidney"]
    assert len(shown.regions) > 0 and "segment" in stages
    assert (case_folder / "case.json").is_file()
    voxels = shown.regions.voxels
    logic.setBudget(0.01)
    assert shown.regions.voxels < voxels
    logic.setOffDuty(["boundary"])
    assert all(region.expert != "boundary" for region in shown.regions)
    again = logic.openCase(case_folder, node)
    assert again.case.id == shown.case.id
    logic.close()


def test_a_job_that_is_not_waited_for_can_be_cancelled(
    the_module: Any, scene: Any, sources: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from DeferredSegSlicerLib.ui import sample_data

    logic = sys.modules["DeferredSegSlicer"].DeferredSegSlicerLogic()
    node = sample_data.load_sample(scene)
    job = logic.segment(node, sample_data.place_boxes(scene, node), wait=False)
    assert isinstance(job, str) and logic.module.job.busy
    logic.cancel()
    _until(lambda: not logic.module.job.busy)
    assert logic.module.shown is None
    logic.close()


def test_the_modules_own_test_passes_here_too(
    the_module: Any, sources: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sys.modules["DeferredSegSlicer"].DeferredSegSlicerTest().runTest()
    assert "Segmented:" in capsys.readouterr().out


def test_the_modules_own_test_fails_on_a_box_in_the_wrong_place(
    the_module: Any, sources: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from DeferredSegSlicerLib.ui import sample_data

    right = sample_data.place_boxes

    def wrong(scene: Any, node: Any) -> Any:
        entries = right(scene, node)
        roi = scene.GetNodeByID(entries[1].node_id)
        roi.SetCenter(*(c + 0.5 for c in roi.GetCenter()))
        return entries

    monkeypatch.setattr(sample_data, "place_boxes", wrong)
    with pytest.raises(AssertionError, match="spleen"):
        sys.modules["DeferredSegSlicer"].DeferredSegSlicerTest().runTest()


def _until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Be the event loop until the condition holds."""
    import time

    import slicer

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        slicer.app.processEvents()
        time.sleep(0.005)
