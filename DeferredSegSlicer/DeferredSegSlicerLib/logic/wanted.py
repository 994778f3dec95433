"""What is to be segmented: everything is settled and checked before anything begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.budgets import check_share
from ..core.case import check_target
from ..core.errors import BadInputError
from ..core.experts import Expert, check_experts
from ..core.structures import PALETTE, Structure, check_inside
from ..core.volume import Modality
from ..mrml.grid import check_usable, geometry_of
from ..mrml.modality import modality_of
from ..mrml.prompts import PromptEntry, entry_of_box, structures_of
from ..mrml.state import PanelState
from ..resources import DEFAULT_BUNDLE
from .bundles import find_bundle
from .experts import check_on_duty, load_profiles, with_duty
from .folders import new_case_folder
from .services import Services

AnyStructure = Structure | PromptEntry | tuple[str, Any]
"""A structure with its box in the volume's local RAS, a row of the panel's table, or a name and a markups ROI node."""


@dataclass(frozen=True)
class Wanted:
    """Everything that is settled before a segmentation begins.

    `make_folder` makes the folder of the request, which goes after the job; `case_folder` is a new one for the case.
    """

    volume_node: Any
    structures: tuple[Structure, ...]
    experts: tuple[Expert, ...]
    budget: float
    bundle: str
    device: str
    method: str
    modality: Modality
    make_folder: Callable[[], Path]
    case_folder: Path


def structures_on(scene: Any, volume_node: Any, structures: Iterable[AnyStructure]) -> tuple[Structure, ...]:
    """Structures of any kind, mixed, with boxes in the volume's local RAS mm.

    Raises BadInputError naming the structure that cannot be used, or if there are none or two of one name.
    """
    found: list[Structure] = []
    for number, item in enumerate(structures):
        if isinstance(item, Structure):
            found.append(item)
        elif isinstance(item, PromptEntry):
            found += structures_of([item], scene, volume_node)
        else:
            name, roi = item
            found += structures_of([entry_of_box(roi, name, PALETTE[number % len(PALETTE)])], scene, volume_node)
    if not found:
        raise BadInputError("no structure to segment: add a box or take a segment first")
    names = [s.name.strip().casefold() for s in found]
    for name, structure in zip(names, found, strict=True):
        if names.count(name) > 1:
            raise BadInputError(f'two structures are called "{structure.name}"; give each a name of its own')
    check_inside(found, geometry_of(volume_node))
    return tuple(found)


def check_boxes(structures: Sequence[Structure], model: str) -> None:
    """Raise BadInputError, naming the structure, if one has no box for a model that needs it."""
    for structure in structures:
        if structure.box is None:
            raise BadInputError(f'structure "{structure.name}" has no box, which model "{model}" needs')


@dataclass(frozen=True)
class Asked:
    """What a caller gave, None for what the scene's state says; see `ModuleLogic.segment`."""

    structures: Iterable[AnyStructure] | None = None
    experts: Sequence[Expert] | None = None
    budget: float | None = None
    bundle: str | None = None
    device: str | None = None
    method: str | None = None
    case_folder: str | Path | None = None


def experts_of(state: PanelState) -> tuple[Expert, ...]:
    """The profiles that the state names, with their duty; raises BadInputError if the file cannot be read."""
    return with_duty(load_profiles(state.experts_file or None), state.off_duty)


def settle(scene: Any, state: PanelState, services: Services, volume_node: Any, asked: Asked) -> Wanted:
    """Fill in what was left out and check all of it; nothing is written.

    Raises BadInputError, one sentence on the first thing that cannot be used.
    """
    check_usable(volume_node)
    experts = check_experts(experts_of(state) if asked.experts is None else tuple(asked.experts))
    check_on_duty(experts)
    model = find_bundle(asked.bundle or state.bundle or DEFAULT_BUNDLE, services.models_folder())
    structures = structures_on(scene, volume_node, state.prompts if asked.structures is None else asked.structures)
    if model.needs_box:
        check_boxes(structures, model.name)
    folder = Path(asked.case_folder or new_case_folder(services.cases_folder())).absolute()
    check_target(folder)
    return Wanted(
        volume_node,
        structures,
        experts,
        check_share(state.budget if asked.budget is None else asked.budget),
        model.key,
        asked.device or state.device or "auto",
        asked.method or state.method or "auto",
        modality_of(volume_node),
        services.request_folder,
        folder,
    )
