"""What the panel has chosen and shows, kept in the module's parameter node so that a saved scene brings it back.

Values are texts in the node's parameters (JSON but for plain texts), nodes are node references, so that both come
through an .mrb with the nodes' new ids. What is missing or damaged in an older or edited scene reads as its default.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import slicer.util

from ..core.budgets import DEFAULT_BUDGET
from ..core.errors import BadInputError
from ..core.structures import Terminology
from .names import DEFERRED_REFERENCE, MODULE_NAME, PROMPT_REFERENCE, RESULT_REFERENCE, VOLUME_REFERENCE
from .prompts import BOX, SEGMENT, PromptEntry

Value = TypeVar("Value")

_MODULE_ATTRIBUTE = "ModuleName"
_PROMPTS = "prompts"
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VOLUME_CLASS, _SEGMENTATION_CLASS = "vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode"


def parameter_node(scene: Any) -> Any:
    """The module's parameter node, made if it is not there: the same that Slicer's module logic gives and finds."""
    node = scene.GetSingletonNode(MODULE_NAME, "vtkMRMLScriptedModuleNode")
    if node is None:
        node = scene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)  # the variable holds it now
        node.SetSingletonTag(MODULE_NAME)
        node.SetAttribute(_MODULE_ATTRIBUTE, MODULE_NAME)
        node.SetName(MODULE_NAME)
        node = scene.AddNode(node)
    elif node.GetAttribute(_MODULE_ATTRIBUTE) != MODULE_NAME:  # closing a scene empties the node and keeps it
        node.SetAttribute(_MODULE_ATTRIBUTE, MODULE_NAME)
    return node


class _Parameter(Generic[Value]):
    """An attribute of PanelState in the parameter of the same name."""

    def __init__(self, default: Value, decode: Callable[[str], Value], encode: Callable[[Value], str]) -> None:
        self._default, self._decode, self._encode = default, decode, encode

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, state: PanelState, owner: type) -> Value:
        text = state.node.GetParameter(self._name)
        try:
            return self._decode(text) if text else self._default
        except (ValueError, TypeError, RecursionError):
            return self._default

    def __set__(self, state: PanelState, value: Value) -> None:
        state.node.SetParameter(self._name, self._encode(value))


class _Reference:
    """An attribute of PanelState in a node reference: the node, or None if it is gone or of another class."""

    def __init__(self, role: str, node_class: str) -> None:
        self._role, self._class = role, node_class

    def __get__(self, state: PanelState, owner: type) -> Any:
        node = state.node.GetNodeReference(self._role)
        return node if node is not None and node.IsA(self._class) else None

    def __set__(self, state: PanelState, node: Any) -> None:
        state.node.SetNodeReferenceID(self._role, node.GetID() if node is not None else None)


def _read_share(text: str) -> float:
    value = json.loads(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{text} is no number")
    return _checked_share(float(value))


def _checked_share(value: float) -> float:
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise ValueError(f"{value} is not in 0..1")
    return value


def _read_flag(text: str) -> bool:
    value = json.loads(text)
    if not isinstance(value, bool):
        raise ValueError(f"{text} is neither true nor false")
    return value


def _read_ids(text: str) -> frozenset[str]:
    value = json.loads(text)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{text} is no list of texts")
    return frozenset(value)


def _text(default: str = "") -> _Parameter[str]:
    return _Parameter(default, str, str)


def _share(default: float) -> _Parameter[float]:
    return _Parameter(default, _read_share, lambda value: json.dumps(_checked_share(float(value))))


def _flag(default: bool) -> _Parameter[bool]:
    return _Parameter(default, _read_flag, lambda value: json.dumps(bool(value)))


class PanelState:
    """Typed access to the parameter node; see `parameter_node`.

    Setting a value that is there already does not modify the node. Several settings in `with state.together():` modify
    it once. Shares (budget, opacities) outside 0..1 raise ValueError when they are set.

    Attributes
    ----------
    node : the parameter node; observe its ModifiedEvent.
    volume, result, deferred : nodes, or None.
    prompts : what to segment, in the order of the table. An entry whose ROI or segmentation was deleted has the
        node_id "".
    experts_file : path of the profiles, or "" for those that come with the module.
    off_duty : ids of experts who are not on duty.
    budget : share of the decision zone.
    bundle, device, method : ids, or "" for the default.
    case_folder, case_id : of the case that is shown, or "".
    deferred_fill, deferred_outline, model_outline : opacities in slice views.
    show_model, show_deferred, show_3d : what is shown.
    """

    volume = _Reference(VOLUME_REFERENCE, _VOLUME_CLASS)
    result = _Reference(RESULT_REFERENCE, _SEGMENTATION_CLASS)
    deferred = _Reference(DEFERRED_REFERENCE, _SEGMENTATION_CLASS)
    experts_file = _text()
    off_duty = _Parameter[frozenset[str]](frozenset(), _read_ids, lambda ids: json.dumps(sorted(ids)))
    budget = _share(DEFAULT_BUDGET)
    bundle, device, method = _text(), _text(), _text()
    case_folder, case_id = _text(), _text()
    deferred_fill, deferred_outline, model_outline = _share(0.6), _share(1.0), _share(1.0)
    show_model, show_deferred, show_3d = _flag(True), _flag(True), _flag(False)

    def __init__(self, node: Any) -> None:
        self.node = node

    @contextmanager
    def together(self) -> Iterator[None]:
        """Everything that is set meanwhile modifies the node once."""
        with slicer.util.NodeModify(self.node):
            yield

    @property
    def prompts(self) -> tuple[PromptEntry, ...]:
        """What to segment; entries of which the scene keeps too little are left out."""
        try:
            stored = json.loads(self.node.GetParameter(_PROMPTS) or "[]")
        except (ValueError, RecursionError):
            return ()
        found: dict[str, PromptEntry] = {}
        for values in stored if isinstance(stored, list) else []:
            entry = self._entry(values)
            if entry is not None:
                found.setdefault(entry.key, entry)
        return tuple(found.values())

    @prompts.setter
    def prompts(self, entries: Iterable[PromptEntry]) -> None:
        chosen = tuple(entries)
        keys = [entry.key for entry in chosen]
        wrong = [key for key in keys if not _KEY.fullmatch(key)]
        if wrong or len(set(keys)) != len(keys):
            raise ValueError(
                f"prompt keys {keys} are not unique, or have other signs than letters, digits, '_' and '-'"
            )
        text = json.dumps([_entry_to_json(entry) for entry in chosen], ensure_ascii=False)
        with self.together():
            self.node.SetParameter(_PROMPTS, text)
            for role in self._prompt_roles():
                if role.removeprefix(PROMPT_REFERENCE) not in keys:
                    self.node.RemoveNodeReferenceIDs(role)
            for entry in chosen:
                self.node.SetNodeReferenceID(PROMPT_REFERENCE + entry.key, entry.node_id or None)

    def _entry(self, values: Any) -> PromptEntry | None:
        try:
            key, kind = values["key"], values["kind"]
            name, segment_id = str(values["name"]), str(values["segment_id"])
            red, green, blue = (_checked_share(float(c)) for c in values["color"])
            terminology = Terminology.from_slicer(values["terminology"])
        except (KeyError, TypeError, ValueError, AttributeError, BadInputError):
            return None
        if not isinstance(key, str) or not _KEY.fullmatch(key) or kind not in (BOX, SEGMENT):
            return None
        node = self.node.GetNodeReference(PROMPT_REFERENCE + key)
        node_id = node.GetID() if node is not None else ""
        return PromptEntry(key, name, (red, green, blue), terminology, kind, node_id, segment_id)

    def _prompt_roles(self) -> list[str]:
        roles: list[str] = []
        self.node.GetNodeReferenceRoles(roles)
        return [role for role in roles if role.startswith(PROMPT_REFERENCE)]


def _entry_to_json(entry: PromptEntry) -> dict[str, Any]:
    """Everything but the node, which is a reference."""
    return {
        "key": entry.key,
        "name": entry.name,
        "color": list(entry.color),
        "terminology": entry.terminology.to_slicer(),
        "kind": entry.kind,
        "segment_id": entry.segment_id,
    }
