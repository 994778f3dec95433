"""The parts of the logic put together as the module needs them: segmentation, review, and a worker that serves both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .module_logic import ModuleLogic
from .review import ReviewLogic
from .review.worker_reprompt import WorkerReprompt
from .services import Services


def assemble(scene: Any, services: Services, software: Mapping[str, str]) -> tuple[ModuleLogic, ReviewLogic]:
    """The logic of a scene and the review of the case that it shows; close the review first.

    The worker that segments is asked for further labelings of a region as well, where the case's model is installed.

    Parameters
    ----------
    software : names and versions for the readers' journals.
    """
    reprompt = WorkerReprompt(services)
    module = ModuleLogic(scene, services, reprompt.client)
    return module, ReviewLogic(module, services, software=software, reprompt=reprompt.follow(module))
