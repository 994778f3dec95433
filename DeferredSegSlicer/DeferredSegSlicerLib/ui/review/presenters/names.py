"""Names and colors of a case's structures and experts, and of readers who are neither, by id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ....core.case import Case

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Names:
    """What ids stand for; an id that nobody knows stands for itself.

    Attributes
    ----------
    structures, experts : name by id. colors : of the experts, red, green, blue in 0..1.
    readers : names of readers by id, experts or not.
    """

    structures: Mapping[str, str] = field(default_factory=dict)
    experts: Mapping[str, str] = field(default_factory=dict)
    colors: Mapping[str, Color] = field(default_factory=dict)
    readers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, case: Case, readers: Mapping[str, str] | None = None) -> Names:
        """Of a case, and of readers whose names are known from elsewhere."""
        experts = {e.id: e.name for e in case.experts}
        colors = {e.id: e.color for e in case.experts}
        return cls({s.id: s.name for s in case.structures}, experts, colors, {**experts, **(readers or {})})

    def structure(self, structure_id: str) -> str:
        """Name of a structure."""
        return self.structures.get(structure_id, structure_id)

    def expert(self, expert_id: str) -> str:
        """Name of an expert."""
        return self.experts.get(expert_id, expert_id)

    def reader(self, reader_id: str) -> str:
        """Name of a reader."""
        return self.readers.get(reader_id, reader_id)
