"""The input volume: chosen by the user alone, described, and asked about again when another one comes."""

from __future__ import annotations

from typing import Any

import slicer.util

from ..core.errors import BadInputError
from ..mrml.grid import check_usable, geometry_of
from ..mrml.modality import modality_of
from . import slice_views
from .context import Context
from .presenters import run, volume
from .presenters.volume import VolumeWatch
from .sentences import sentence_of
from .widgets import Switch, quiet, set_text

_CLASS = "vtkMRMLScalarVolumeNode"


class VolumeSection:
    """The selector, one line on the volume, and the question that stops the work."""

    def __init__(self, ui: Any, context: Context) -> None:
        self._ui, self._context = ui, context
        self._watch = VolumeWatch()
        self._declined: set[str] = set()
        self._switches = [Switch(w) for w in (ui.volumeSelector, ui.keepVolumeButton, ui.takeNewVolumeButton)]
        ui.volumeSelector.setMRMLScene(context.scene)
        # Not currentNodeChanged: the selector takes another volume by itself when the chosen one is deleted.
        ui.volumeSelector.connect("nodeActivated(vtkMRMLNode*)", self._on_activated)
        ui.keepVolumeButton.connect("clicked()", self._on_keep)
        ui.takeNewVolumeButton.connect("clicked()", self._on_take_new)

    @property
    def problem(self) -> str:
        """Why the chosen volume cannot be segmented, or empty."""
        node = self._context.logic.state.volume
        if node is None:
            return volume.nothing_chosen(len(self.volumes()))
        try:
            check_usable(node)
        except BadInputError as error:
            return sentence_of(error)
        return ""

    @property
    def question(self) -> str:
        """That the user must answer before anything is segmented, or empty."""
        return volume.question_reason() if self._newcomers() else ""

    def volumes(self) -> list[Any]:
        """Scans of the scene, oldest first."""
        nodes = slicer.util.getNodesByClass(_CLASS, self._context.scene)
        return [n for n in nodes if n.GetClassName() == _CLASS and not n.GetHideFromEditors()]

    def choose(self, node: Any) -> None:
        """Make a volume the input, or none, as a click in the selector does."""
        self._declined = set() if node is not None else {n.GetID() for n in self.volumes()}
        self._context.logic.state.volume = node
        if node is not None:
            slice_views.show_volume(node)
        self._context.refresh()

    def choose_the_only_one(self) -> None:
        """Choose the volume if exactly one is loaded, none is chosen and the user has not taken it back."""
        if self._context.logic.state.volume is None:
            only = volume.only_one([n.GetID() for n in self.volumes()])
            if only and only not in self._declined:
                self._context.logic.state.volume = self._context.scene.GetNodeByID(only)

    def forget(self) -> None:
        """The scene was closed: no answer of before counts any more."""
        self._watch, self._declined = VolumeWatch(), set()

    def update(self) -> None:
        """Show the state."""
        ui, node = self._ui, self._context.logic.state.volume
        with quiet(ui.volumeSelector):
            ui.volumeSelector.setCurrentNode(node)
        busy = run.busy_reason(self._context.logic.job.state)
        for switch in self._switches:
            switch.set(busy)
        problem = self.problem
        set_text(ui.volumeLabel, problem or self._description(node))
        newcomers = self._newcomers()
        ui.volumeQuestionFrame.setVisible(bool(newcomers))
        if newcomers:
            names = [n.GetName() for n in newcomers]
            ui.volumeQuestionLabel.setText(volume.newcomers_text(node.GetName(), names))
            if not busy:
                ui.keepVolumeButton.setToolTip(volume.keep_text(node.GetName()))
                ui.takeNewVolumeButton.setToolTip(volume.take_text(names[-1]))

    def _newcomers(self) -> list[Any]:
        node = self._context.logic.state.volume
        present = [n.GetID() for n in self.volumes()]
        ids = self._watch.look(node.GetID() if node is not None else "", present)
        return [self._context.scene.GetNodeByID(i) for i in ids] if node is not None else []

    def _on_activated(self, node: Any) -> None:
        self.choose(node)

    def _on_keep(self) -> None:
        self._watch.confirm(n.GetID() for n in self.volumes())
        self._context.refresh()

    def _on_take_new(self) -> None:
        newcomers = self._newcomers()
        if newcomers:
            self.choose(newcomers[-1])

    @staticmethod
    def _description(node: Any) -> str:
        geometry = geometry_of(node)
        return volume.description(geometry.size, geometry.spacing, modality_of(node))
