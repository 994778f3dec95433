"""An error as a sentence on the screen."""

from __future__ import annotations

from ..core.errors import DeferredSegError
from .presenters.wording import as_sentence


def sentence_of(error: DeferredSegError) -> str:
    """The error's one sentence with a capital and a full stop."""
    return as_sentence(error.sentence)
