"""Review of a case: readers' journals, what they make of the labels, a reader's session; see docs/review_format.md."""

from .alternatives import Candidate, LabelAlternative, alternatives
from .conflicts import Conflict
from .corrected_file import read_corrected, write_corrected
from .decisions import (
    Accept,
    Alternative,
    AnyDecision,
    Decision,
    Edit,
    Effort,
    Entry,
    Limit,
    LineRef,
    Reader,
    Reassign,
    RegionRef,
    Skip,
    Statistics,
    Undo,
)
from .journal import Journal, NotSavedError, read_journal
from .session import Change, ReviewSession
from .state import ReviewState, read_review
from .status import Progress, RegionStatus
from .table import Row, RowFilter

__all__ = [
    "Accept",
    "Alternative",
    "AnyDecision",
    "Candidate",
    "Change",
    "Conflict",
    "Decision",
    "Edit",
    "Effort",
    "Entry",
    "Journal",
    "LabelAlternative",
    "Limit",
    "LineRef",
    "NotSavedError",
    "Progress",
    "Reader",
    "Reassign",
    "RegionRef",
    "RegionStatus",
    "ReviewSession",
    "ReviewState",
    "Row",
    "RowFilter",
    "Skip",
    "Statistics",
    "Undo",
    "alternatives",
    "read_corrected",
    "read_journal",
    "read_review",
    "write_corrected",
]
