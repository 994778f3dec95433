"""The case inside the scene kept up to date with its review: packed on a thread once the reader rests for a moment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ...core.case import Case
from ...core.errors import DeferredSegError
from ...mrml import embedding
from ...mrml.packing import pack
from ..steps import Background, Runner, Steps

REST_SECONDS = 3.0
"""So long after the last decision the scene's copy is brought up to date."""

_log = logging.getLogger(__name__)


class SceneCopy:
    """Looks after the copy of one case; a scene that holds none is left alone."""

    def __init__(self, scene: Any, case: Case, clock: Callable[[], float]) -> None:
        self._scene, self._case, self._clock = scene, case, clock
        self._due: float | None = None
        self._runner: Runner[None] | None = None

    @property
    def is_due(self) -> bool:
        """Whether the scene's copy is older than the review."""
        return self._due is not None or self._runner is not None

    def touch(self) -> None:
        """The review has changed."""
        self._due = self._clock() + REST_SECONDS

    def tick(self) -> None:
        """Go on, for a few ms at most."""
        if self._runner is not None:
            self._runner.turn()
            if self._runner.finished:
                self._runner = None
        elif self._due is not None and self._clock() >= self._due:
            self._due = None
            self._runner = Runner(self._steps())

    def close(self) -> None:
        """Give up what is not done."""
        runner, self._runner, self._due = self._runner, None, None
        if runner is not None:
            runner.close()

    def _steps(self) -> Steps[None]:
        if not self._is_there():
            return
        try:
            text = yield Background(lambda: pack(self._case))
            if self._is_there():
                embedding.embed(self._scene, self._case, text)
        except DeferredSegError as error:
            _log.warning("the case inside the scene is older than its review: %s", error.sentence)

    def _is_there(self) -> bool:
        return embedding.node_of(self._scene, self._case.id) is not None
