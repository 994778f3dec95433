"""The review without its widgets: a reader's work on the shown case."""

from .offers import Option, Reprompt
from .open_edit import Editing, EditOutcome
from .readers import ReaderChoice
from .review_logic import ReviewLogic

__all__ = ["EditOutcome", "Editing", "Option", "ReaderChoice", "Reprompt", "ReviewLogic"]
