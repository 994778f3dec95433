"""How a case is kept in the scene: in the panel's state, as an embedded copy, and back from both."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
import slicer.util

from ..core.case import Case
from ..core.errors import BadInputError, DeferredSegError
from ..mrml import display, embedding
from ..mrml.names import CASE_ID_ATTRIBUTE, VOLUME_REFERENCE
from ..mrml.packing import pack
from ..mrml.state import PanelState
from .case_places import place_of
from .folders import new_case_folder
from .opening import open_steps
from .shown_case import ShownCase
from .snapshot import snapshot_of
from .steps import Background, Steps

_log = logging.getLogger(__name__)


def remember(state: PanelState, shown: ShownCase) -> None:
    """Let the scene's state name what is shown."""
    with state.together():
        state.volume = shown.volume_node
        state.result, state.deferred = shown.result_node, shown.deferred_node
        state.case_folder, state.case_id = str(shown.case.folder), shown.case.id
        state.budget, state.off_duty = shown.budget, shown.off_duty


def draw_as_chosen(state: PanelState, shown: ShownCase) -> None:
    """Give the nodes the opacities and visibilities that the state has."""
    display.set_opacity(shown.result_node, outline=state.model_outline)
    display.set_opacity(shown.deferred_node, fill=state.deferred_fill, outline=state.deferred_outline)
    display.set_visible(shown.result_node, state.show_model)
    display.set_visible(shown.deferred_node, state.show_deferred)


def forget(scene: Any, state: PanelState, shown: ShownCase, keep_nodes: bool) -> None:
    """Take a case out of the state and, unless the nodes are kept, its nodes and its copy out of the scene."""
    if state.case_id == shown.case.id:
        with state.together():
            state.result = state.deferred = None
            state.case_folder = state.case_id = ""
    if keep_nodes:
        return
    shown.deferred.remove()
    node = shown.result_node
    if node.GetScene() is scene:
        for helper in (node.GetDisplayNode(), node.GetStorageNode(), node):
            if helper is not None:
                scene.RemoveNode(helper)
    embedding.remove(scene, shown.case.id)


def volume_of_state(state: PanelState) -> Any:
    """The volume of the case that the state names, or None if it is gone: its result knows best."""
    for node in (state.result, state.deferred):
        volume = node.GetNodeReference(VOLUME_REFERENCE) if node is not None else None
        if volume is not None:
            return volume
    return state.volume


def keep_in_scene(scene: Any, case: Case) -> None:
    """Embed a case, its review as it is now. A case that is too large for that is kept by its folder alone."""
    try:
        embedding.embed(scene, case)
    except DeferredSegError as error:
        _log.warning("the case is not kept inside the scene: %s", error.sentence)


def keep_steps(scene: Any, case: Case) -> Steps[None]:
    """Steps that embed a case, packed on a thread; one that is too large is kept by its folder alone."""
    try:
        text = yield Background(lambda: pack(case))
        embedding.embed(scene, case, text)
    except DeferredSegError as error:
        _log.warning("the case is not kept inside the scene: %s", error.sentence)


def drop_copies_without_result(scene: Any) -> None:
    """Take copies of cases out of the scene whose result node is no longer there."""
    shown = {
        node.GetAttribute(CASE_ID_ATTRIBUTE) for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode", scene)
    }
    for case_id in embedding.embedded_cases(scene):
        if case_id not in shown:
            embedding.remove(scene, case_id)


def reopen_steps(
    scene: Any, state: PanelState, volume_node: Any, cases_folder: Path, stage: Callable[[str], None]
) -> Steps[ShownCase]:
    """Steps that show the case that the state names: from its folder, else from the copy inside the scene.

    A copy that has decisions which the folder lacks (the scene was reviewed on another computer) is not passed over,
    and one that was restored here before, and reviewed since, is not restored again: see `case_places.place_of`.

    Raises
    ------
    BadInputError, DamagedCaseError : the volume is not in the scene or is another one, or the case is nowhere.
    """
    case_id, budget, off_duty = state.case_id, state.budget, state.off_duty
    folder = Path(state.case_folder)
    stage("open")
    if volume_node is None:
        raise BadInputError(f'the scene shows the case "{case_id[:8]}", but its volume is not in the scene')
    copy = _copy_of_embedded(scene, case_id)
    text, digest = embedding.text_of(copy, case_id) if copy is not None else (None, None)
    place = yield Background(lambda: place_of(case_id, folder, cases_folder, text, digest))
    if place is None:
        if copy is None:
            raise BadInputError(
                f'the scene shows the case "{case_id[:8]}", but its folder "{folder}" is not on this computer and the '
                "scene holds no copy of it; open the case folder if you have it"
            )
        snapshot = yield from snapshot_of(volume_node)
        place = new_case_folder(cases_folder)
        target = place
        yield Background(lambda: embedding.restore(copy, snapshot, target, case_id))
    if place != folder and folder.exists():
        _log.warning("the scene holds decisions that %s lacks; %s is opened instead", folder, place)
    folder = place
    return (yield from open_steps(scene, folder, volume_node, budget, off_duty, stage=stage))


def _copy_of_embedded(scene: Any, case_id: str) -> Any:
    """A scene of its own that holds nothing but a copy of an embedded case, for a thread; None if there is none."""
    node = embedding.node_of(scene, case_id)
    if node is None:
        return None
    own = slicer.vtkMRMLScene()
    copy = own.AddNewNodeByClass(node.GetClassName(), node.GetName())
    copy.SetText(node.GetText())
    for name in node.GetAttributeNames():
        copy.SetAttribute(name, node.GetAttribute(name))
    return own
