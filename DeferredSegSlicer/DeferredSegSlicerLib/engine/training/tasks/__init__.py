"""What can be trained, by the word behind `task:` in a configuration. A task's module is imported when it is made."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ....core.errors import BadInputError

if TYPE_CHECKING:
    from ..config import TrainingConfig
    from ..task import Task


def _make(module: str, config: TrainingConfig) -> Task:
    task: Task = importlib.import_module(f"{__name__}.{module}").make_task(config)
    return task


TASKS: dict[str, Callable[[TrainingConfig], Task]] = {
    name: partial(_make, name) for name in ("prompted", "volumes", "slices")
}
"""prompted: a router for a box-prompted segmentor; volumes: 3D networks; slices: 2D networks. Each `make_task`."""


def make_task(config: TrainingConfig) -> Task:
    """The task that a configuration asks for; BadInputError if there is none of that name."""
    if config.task not in TASKS:
        raise BadInputError(f'task "{config.task}" is unknown, expected {", ".join(TASKS)}')
    return TASKS[config.task](config)
