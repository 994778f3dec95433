"""What every section of the panel is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .dialogs import Dialogs

if TYPE_CHECKING:
    from ..logic.module_logic import ModuleLogic
    from ..logic.services import Services


@dataclass(frozen=True)
class Context:
    """Collaborators of a section.

    Attributes
    ----------
    scene : the MRML scene.
    logic : does everything that is not showing.
    services : settings and folders.
    dialogs : the only way to ask the user.
    refresh : shows the state anew in all sections, soon.
    """

    scene: Any
    logic: ModuleLogic
    services: Services
    dialogs: Dialogs
    refresh: Callable[[], None]
