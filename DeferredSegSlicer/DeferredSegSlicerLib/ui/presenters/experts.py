"""The rows of the experts' table, and the sentence on who is on duty."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ...core.experts import Expert
from ..text import _


@dataclass(frozen=True)
class ExpertRow:
    """One expert as the table shows it; color is red, green, blue in 0..1."""

    id: str
    name: str
    role: str
    color: tuple[float, float, float]
    on_duty: bool
    tool_tip: str


def expert_rows(experts: Iterable[Expert], off_duty: Collection[str]) -> tuple[ExpertRow, ...]:
    """A row for each profile; `off_duty` are the ids of those who may not be asked."""
    return tuple(_row(expert, expert.id not in off_duty) for expert in experts)


def _row(expert: Expert, on_duty: bool) -> ExpertRow:
    skill = expert.competence
    tool_tip = _(
        "{name}: {role}\n"
        "Declared to be right for {inside:.0%} of the voxels inside, {outside:.0%} outside and {edge:.0%} at the edge "
        "of a structure.\n"
        "Review: {region:.0f} s a region and {slice:.0f} s a slice."
    ).format(
        name=expert.name,
        role=expert.role,
        inside=skill.foreground,
        outside=skill.background,
        edge=skill.boundary,
        region=expert.seconds_per_region,
        slice=expert.seconds_per_slice,
    )
    return ExpertRow(expert.id, expert.name, short_role(expert.role), expert.color, on_duty, tool_tip)


def short_role(role: str) -> str:
    """What somebody is, without what they look at: "Organ radiologist" of "Organ radiologist: how far it reaches"."""
    return role.partition(":")[0].strip()
