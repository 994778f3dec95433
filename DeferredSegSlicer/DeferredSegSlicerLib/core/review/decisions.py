"""What a reader can decide on a deferral region; every decision names its voxels, whatever the budget becomes."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import BadInputError
from ..regions import Region
from ..structures import Structure
from .runs import LabelRuns, VoxelRuns

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_NAME = 1000
MAX_NOTE = 4000
DEFAULT_MARGIN_MM = 5.0
"""How far around its region an edit may reach unless the reader lifts the limit."""


@dataclass(frozen=True)
class Reader:
    """Who decides.

    Attributes
    ----------
    id : tells readers apart: the id of an expert profile, or any name; outer spaces do not count.
    name, role : as shown.

    Raises BadInputError for an empty or overlong text, or one that is no valid Unicode.
    """

    id: str
    name: str = ""
    role: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", unicodedata.normalize("NFC", checked_text(self.id, "reader", MAX_NAME)).strip())
        if not self.id:
            raise BadInputError("a reader needs a name")
        object.__setattr__(self, "name", checked_text(self.name, "name of the reader", MAX_NAME) or self.id)
        checked_text(self.role, "role of the reader", MAX_NAME)


@dataclass(frozen=True)
class RegionRef:
    """The deferral region on which somebody decided, as it was at that budget."""

    structure: str
    expert: str
    budget: float
    id: str

    @classmethod
    def of(cls, region: Region, budget: float) -> RegionRef:
        """Name a region of a worklist at a budget."""
        return cls(region.structure, region.expert, float(budget), region.id)


@dataclass(frozen=True)
class Effort:
    """Seconds that the reader looked at the region, and seconds of these with a brush in hand."""

    looked: float = 0.0
    edited: float = 0.0

    def __post_init__(self) -> None:
        for name in ("looked", "edited"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise BadInputError(f"seconds {name} are {value!r}, expected 0 or more")


NO_EFFORT = Effort()
"""No time that was measured."""


@dataclass(frozen=True)
class Limit:
    """How far an edit may reach: `margin_mm` around its region along every index axis, or anywhere if `lifted`."""

    margin_mm: float = DEFAULT_MARGIN_MM
    lifted: bool = False

    def __post_init__(self) -> None:
        value = self.margin_mm
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise BadInputError(f"margin is {value!r} mm, expected 0 or more")
        if not isinstance(self.lifted, bool):
            raise BadInputError(f"lifted is {self.lifted!r}, expected true or false")


@dataclass(frozen=True)
class LineRef:
    """A line of a journal: whose, its number from 1, and its sha256."""

    reader: str
    n: int
    sha: str


@dataclass(frozen=True)
class Statistics:
    """What a decision does to the model's labels in the voxels that it names.

    Attributes
    ----------
    changed : voxels whose label is no longer the model's.
    before_ml, after_ml : ml of each structure, by id, with the model's labels and with those decided.
    """

    changed: int
    before_ml: Mapping[str, float]
    after_ml: Mapping[str, float]

    @classmethod
    def of(
        cls,
        before: NDArray[np.uint8],
        after: NDArray[np.uint8],
        structures: Sequence[Structure],
        voxel_ml: float,
    ) -> Statistics:
        """From the labels of the same voxels, (n,) each, before and after."""

        def volumes(labels: NDArray[np.uint8]) -> dict[str, float]:
            counts = np.bincount(labels, minlength=len(structures) + 1)
            return {s.id: int(counts[number + 1]) * voxel_ml for number, s in enumerate(structures)}

        return cls(int(np.count_nonzero(before != after)), volumes(before), volumes(after))


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What all decisions on voxels share; use one of the classes below.

    Attributes
    ----------
    region : the region as the worklist had it.
    voxels : its voxels on which the decision bears: all, or the rest that this reader had not judged before.
    statistics : against the model's labels. effort : seconds. note : free text; no patient's name belongs there.
    answers : lines of other readers that this decision deals with: a reassignment to this reader, or the other side
        of a disagreement. Where this decision stands, these lines no longer speak.
    """

    region: RegionRef
    voxels: VoxelRuns
    statistics: Statistics
    effort: Effort = NO_EFFORT
    note: str = ""
    answers: tuple[LineRef, ...] = ()
    kind: ClassVar[str] = ""
    judges: ClassVar[bool] = False

    def __post_init__(self) -> None:
        checked_text(self.note, "note", MAX_NOTE)

    @property
    def indices(self) -> NDArray[np.int64]:
        """(n,) ascending flat indices of every voxel on which the decision bears."""
        return self.voxels.indices


@dataclass(frozen=True, kw_only=True)
class Accept(Decision):
    """The model's label stands."""

    kind: ClassVar[str] = "accept"
    judges: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Edit(Decision):
    """The reader drew the label: `after` covers the region, and those voxels around it that the reader changed."""

    after: LabelRuns
    limit: Limit = Limit()
    kind: ClassVar[str] = "edit"
    judges: ClassVar[bool] = True

    @property
    def indices(self) -> NDArray[np.int64]:
        """(n,) ascending flat indices of every voxel on which the decision bears."""
        return self.after.indices


@dataclass(frozen=True, kw_only=True)
class Alternative(Edit):
    """The reader took an offered labeling; `name` says which: fill, drop, tighter, wider, ..."""

    name: str
    kind: ClassVar[str] = "alternative"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not checked_text(self.name, "name of the alternative", MAX_NAME):
            raise BadInputError("an alternative needs a name")


@dataclass(frozen=True, kw_only=True)
class Reassign(Decision):
    """Another expert, of id `to`, should look at the region."""

    to: str
    kind: ClassVar[str] = "reassign"


@dataclass(frozen=True, kw_only=True)
class Skip(Decision):
    """The reader does not decide, for a `reason` or none."""

    reason: str = ""
    kind: ClassVar[str] = "skip"

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_text(self.reason, "reason", MAX_NOTE)


@dataclass(frozen=True, kw_only=True)
class Undo:
    """One of the reader's own earlier decisions no longer holds; it stays in the journal."""

    line: LineRef
    effort: Effort = NO_EFFORT
    note: str = ""
    kind: ClassVar[str] = "undo"
    judges: ClassVar[bool] = False

    def __post_init__(self) -> None:
        checked_text(self.note, "note", MAX_NOTE)


AnyDecision = Accept | Edit | Alternative | Reassign | Skip | Undo
"""What a line of a journal can hold."""

KINDS: tuple[type[Decision] | type[Undo], ...] = (Accept, Edit, Alternative, Reassign, Skip, Undo)


@dataclass(frozen=True)
class Entry:
    """A decision as it is in a journal.

    Attributes
    ----------
    n : number of the line, from 1. sha : sha256 of the line. prev : that of the line before, or the journal's root.
    time : UTC, ISO 8601, by the reader's clock; the order is that of the lines, whatever the clock said.
    reader : who. decision : what.
    software, bundle : versions of the software, and id and sha256 of the model's bundle.
    """

    n: int
    sha: str
    prev: str
    time: str
    reader: Reader
    decision: AnyDecision
    software: Mapping[str, str] = field(default_factory=dict)
    bundle: Mapping[str, str] = field(default_factory=dict)

    @property
    def ref(self) -> LineRef:
        """How other lines name this one."""
        return LineRef(self.reader.id, self.n, self.sha)


def checked_text(text: str, what: str, longest: int) -> str:
    """The text; raises BadInputError unless it is valid Unicode of at most so many characters."""
    if not isinstance(text, str) or len(text) > longest:
        raise BadInputError(f"{what} is no text, or longer than {longest} characters")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadInputError(f"{what} {text!r} has characters that are no valid Unicode") from error
    return text
