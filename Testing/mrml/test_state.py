"""The panel's state in the parameter node: typed, quiet, and back after a scene was saved, closed or damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from DeferredSegSlicerLib.core.structures import terminology_of
from DeferredSegSlicerLib.mrml.names import MODULE_NAME
from DeferredSegSlicerLib.mrml.prompts import BOX, SEGMENT, PromptEntry
from DeferredSegSlicerLib.mrml.state import PanelState, parameter_node

SCALARS: dict[str, Any] = {
    "experts_file": "C:\\Ärzte & \"readers\" <b>;%20\n'x'.json",
    "off_duty": frozenset({"boundary", "lesion-extent"}),
    "budget": 0.125,
    "bundle": "litemedsam",
    "device": "cuda:0",
    "method": "margin",
    "case_folder": "/data/läsion 1/case",
    "case_id": "0123456789abcdef",
    "deferred_fill": 0.35,
    "deferred_outline": 0.0,
    "model_outline": 0.75,
    "show_model": False,
    "show_deferred": False,
    "show_3d": True,
}


@pytest.fixture
def a_state(scene: Any) -> PanelState:
    """The state of an empty scene."""
    return PanelState(parameter_node(scene))


@pytest.fixture
def modified(a_state: PanelState) -> list[str]:
    """Grows with every ModifiedEvent of the parameter node."""
    events: list[str] = []
    a_state.node.AddObserver("ModifiedEvent", lambda caller, event: events.append(event))
    return events


def two_prompts(scene: Any) -> tuple[PromptEntry, PromptEntry]:
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Leber")
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Drawn")
    return (
        PromptEntry("a1", "Leber ü", (0.1, 0.2, 0.3), terminology_of("liver"), BOX, roi.GetID()),
        PromptEntry(
            "b2", "right kidney", (1, 0, 0.5), terminology_of("right kidney"), SEGMENT, segmentation.GetID(), "S;1"
        ),
    )


def test_an_empty_scene_has_the_defaults(a_state: PanelState) -> None:
    assert (a_state.volume, a_state.result, a_state.deferred, a_state.prompts) == (None, None, None, ())
    assert a_state.off_duty == frozenset() and a_state.budget == 0.05
    texts = (a_state.experts_file, a_state.bundle, a_state.device, a_state.method, a_state.case_folder, a_state.case_id)
    assert set(texts) == {""}
    assert (a_state.deferred_fill, a_state.deferred_outline, a_state.model_outline) == (0.6, 1.0, 1.0)
    assert (a_state.show_model, a_state.show_deferred, a_state.show_3d) == (True, True, False)


def test_the_parameter_node_is_the_one_that_slicers_module_logic_makes_and_finds(scene: Any) -> None:
    node = parameter_node(scene)
    assert parameter_node(scene) is node is scene.GetSingletonNode(MODULE_NAME, "vtkMRMLScriptedModuleNode")
    assert node.GetAttribute("ModuleName") == MODULE_NAME and scene.GetNumberOfNodesByClass(node.GetClassName()) == 1


def test_everything_survives_saving_and_reading_a_scene_in_which_ids_are_taken(scene: Any, tmp_path: Path) -> None:
    state = PanelState(parameter_node(scene))
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    entries = two_prompts(scene)
    result, deferred = (scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name) for name in ("R", "D"))
    for name, value in SCALARS.items():
        setattr(state, name, value)
    state.volume, state.result, state.deferred, state.prompts = volume, result, deferred, entries
    old_ids = {volume.GetID(), result.GetID(), *(entry.node_id for entry in entries)}
    assert scene.WriteToMRB(str(tmp_path / "saved.mrb"))

    scene.Clear(0)
    scene.RemoveNode(parameter_node(scene))
    for kind in ("vtkMRMLScalarVolumeNode", "vtkMRMLMarkupsROINode", *3 * ["vtkMRMLSegmentationNode"]):
        scene.AddNewNodeByClass(kind, "taken")
    assert scene.ReadFromMRB(str(tmp_path / "saved.mrb"), False)

    state = PanelState(parameter_node(scene))
    assert {name: getattr(state, name) for name in SCALARS} == SCALARS
    assert [n.GetName() for n in (state.volume, state.result, state.deferred)] == ["CT", "R", "D"]
    liver, kidney = state.prompts
    assert scene.GetNodeByID(liver.node_id).GetName() == "Leber"
    assert scene.GetNodeByID(kidney.node_id).GetName() == "Drawn"
    assert old_ids.isdisjoint({state.volume.GetID(), state.result.GetID(), liver.node_id, kidney.node_id})
    for before, after in zip(entries, (liver, kidney), strict=True):
        assert (after.key, after.name, after.color, after.kind) == (before.key, before.name, before.color, before.kind)
        assert (after.terminology, after.segment_id) == (before.terminology, before.segment_id)


def test_setting_what_is_there_already_tells_nobody(scene: Any, a_state: PanelState, modified: list[str]) -> None:
    entries = two_prompts(scene)
    values = SCALARS | {"prompts": entries, "volume": scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")}
    for name, value in values.items():
        setattr(a_state, name, value)
    assert modified
    modified.clear()
    for name, value in values.items():
        setattr(a_state, name, value)
    assert not modified


def test_several_settings_together_tell_once(scene: Any, a_state: PanelState, modified: list[str]) -> None:
    with a_state.together():
        a_state.budget, a_state.method, a_state.off_duty = 0.2, "entropy", frozenset({"boundary"})
        a_state.volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert len(modified) == 1
    a_state.prompts = two_prompts(scene)
    assert len(modified) == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("budget", "5 %"),
        ("budget", "7"),
        ("budget", "NaN"),
        ("budget", "true"),
        ("budget", "[" * 100_000),
        ("deferred_fill", "-0.1"),
        ("model_outline", '"1"'),
        ("show_3d", "1"),
        ("show_model", "False"),
        ("off_duty", '{"boundary": 1}'),
        ("off_duty", "[1, 2]"),
        ("off_duty", '["boundary"'),
        ("prompts", "{}"),
        ("prompts", "[[[["),
        ("prompts", '["liver", null, 3]'),
    ],
)
def test_damaged_values_read_as_their_defaults(a_state: PanelState, name: str, text: str) -> None:
    default = getattr(a_state, name)
    a_state.node.SetParameter(name, text)
    assert getattr(a_state, name) == default


def test_damaged_rows_are_left_out_and_the_others_stay(scene: Any, a_state: PanelState) -> None:
    a_state.prompts = two_prompts(scene)
    whole = a_state.node.GetParameter("prompts")
    for good, bad in (('"a1"', '"../a"'), ('"box"', '"brush"'), ("0.1,", "7.0,"), ("~", "-"), ('"kind"', '"kin"')):
        a_state.node.SetParameter("prompts", whole.replace(good, bad, 7 if good == "~" else 1))
        assert [entry.name for entry in a_state.prompts] in (["right kidney"], []), bad
    a_state.node.SetParameter("prompts", whole.replace('"b2"', '"a1"'))
    assert [entry.name for entry in a_state.prompts] == ["Leber ü"]


def test_a_row_whose_box_was_deleted_stays_without_a_node(scene: Any, a_state: PanelState) -> None:
    a_state.prompts = two_prompts(scene)
    scene.RemoveNode(scene.GetNodeByID(a_state.prompts[0].node_id))
    assert [(entry.name, entry.node_id == "") for entry in a_state.prompts] == [
        ("Leber ü", True),
        ("right kidney", False),
    ]
    a_state.prompts = a_state.prompts
    assert [entry.name for entry in a_state.prompts] == ["Leber ü", "right kidney"]


def test_a_row_that_is_taken_out_leaves_no_reference(scene: Any, a_state: PanelState) -> None:
    liver, kidney = two_prompts(scene)
    a_state.prompts = (liver, kidney)
    a_state.prompts = (kidney,)
    assert a_state.prompts == (kidney,)
    assert a_state.node.GetNodeReferenceID("prompt.a1") is None
    a_state.prompts = ()
    assert a_state.prompts == () and a_state.node.GetNodeReferenceID("prompt.b2") is None


def test_rows_without_keys_of_their_own_are_refused(scene: Any, a_state: PanelState) -> None:
    liver, _ = two_prompts(scene)
    with pytest.raises(ValueError, match="a1"):
        a_state.prompts = (liver, liver)
    assert a_state.prompts == ()


@pytest.mark.parametrize(("name", "value"), [("budget", 1.5), ("deferred_fill", -1.0), ("budget", float("nan"))])
def test_shares_out_of_range_are_refused(a_state: PanelState, name: str, value: float) -> None:
    before = getattr(a_state, name)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        setattr(a_state, name, value)
    assert getattr(a_state, name) == before


def test_a_reference_to_a_node_of_another_class_reads_as_none(scene: Any, a_state: PanelState) -> None:
    a_state.result = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert a_state.result is None


def test_closing_the_scene_forgets_the_patient(scene: Any, a_state: PanelState) -> None:
    a_state.case_folder, a_state.prompts = "/somewhere", two_prompts(scene)
    a_state.volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    scene.Clear(0)
    again = PanelState(parameter_node(scene))
    assert (again.case_folder, again.prompts, again.volume) == ("", (), None)
    assert again.node.GetAttribute("ModuleName") == MODULE_NAME
