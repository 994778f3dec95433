"""Doing what the reader asks for, and the one line that says what came of it or why it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...core.errors import DeferredSegError
from ..sentences import sentence_of


class Asking:
    """Shared by all parts of the section.

    refresh : shows the state anew.

    Attributes
    ----------
    text : what is to be said of the last thing asked for; empty for nothing. refused : whether it could not be done.
    """

    def __init__(self, refresh: Callable[[], None]) -> None:
        self._refresh = refresh
        self.text, self.refused = "", False

    def say(self, text: str, refused: bool = False) -> None:
        """Put a text in place of the one before."""
        self.text, self.refused = text, refused

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Do one thing. If it cannot be done, the rest of the block is left out, and why is said; nothing is raised."""
        self.say("")
        try:
            yield
        except DeferredSegError as error:
            self.say(sentence_of(error), refused=True)
        finally:
            self._refresh()
