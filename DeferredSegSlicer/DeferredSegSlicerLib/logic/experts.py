"""Who may be asked: the reader profiles of a file, and who of them is on duty."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from ..core.errors import BadInputError
from ..core.experts import Expert, load_experts
from ..resources import find_resources


def default_experts_file() -> Path:
    """The profiles that come with the extension; raises BadInputError if the Resources folder is not found."""
    return find_resources() / "Experts" / "default.json"


def load_profiles(path: str | Path | None = None) -> tuple[Expert, ...]:
    """Profiles of a chosen file, or without one of `default_experts_file`; raises BadInputError naming the file."""
    return load_experts(Path(path) if path else default_experts_file())


def with_duty(experts: Sequence[Expert], off_duty: Collection[str]) -> tuple[Expert, ...]:
    """The same experts, those of the given ids off duty and all others on; ids that nobody has are ignored."""
    return tuple(replace(e, available=e.id not in off_duty) for e in experts)


def off_duty_of(experts: Sequence[Expert]) -> frozenset[str]:
    """Ids of those who are off duty."""
    return frozenset(e.id for e in experts if not e.available)


def check_on_duty(experts: Sequence[Expert]) -> None:
    """Raise BadInputError unless somebody is on duty: without a reader nothing can be deferred."""
    if not any(e.available for e in experts):
        raise BadInputError("no expert is on duty; tick at least one")
