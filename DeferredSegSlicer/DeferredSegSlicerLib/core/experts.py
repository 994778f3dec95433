"""Expert profiles: who may be asked, what they are good at, what they cost, and whether they are on duty."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .errors import BadInputError

PLACES = ("foreground", "background", "boundary")
"""Where a declared competence holds: inside the structure, outside it, and within a band around its edge."""

MAX_EXPERTS = 16


@dataclass(frozen=True)
class Competence:
    """Declared probability, 0..1, that the expert labels a voxel correctly at each place."""

    foreground: float
    background: float
    boundary: float

    def __post_init__(self) -> None:
        for place in PLACES:
            value = getattr(self, place)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
                raise BadInputError(f"competence for {place} is {value!r}, expected a number in 0..1")


@dataclass(frozen=True)
class Expert:
    """A human reader profile.

    Attributes
    ----------
    id : letters, digits, `_` and `-`; unique.
    name, role : shown to the user.
    color : red, green, blue in 0..1.
    competence : declared accuracy by place, used to route without training.
    available : on duty or not.
    cost : subtracted from the expert's routing probability, 0..1.
    seconds_per_region, seconds_per_slice : expected review time of a region is the first plus the second for each
        slice that it touches.
    """

    id: str
    name: str
    role: str
    color: tuple[float, float, float]
    competence: Competence
    available: bool = True
    cost: float = 0.0
    seconds_per_region: float = 10.0
    seconds_per_slice: float = 2.0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", self.id):
            raise BadInputError(f"expert id {self.id!r} may have letters, digits, '_' and '-' alone")
        if not (isinstance(self.name, str) and self.name.strip() and isinstance(self.role, str)):
            raise BadInputError(f'expert "{self.id}" needs a name and a role in words')
        if not isinstance(self.available, bool):
            raise BadInputError(f'available of expert "{self.id}" is {self.available!r}, expected true or false')
        object.__setattr__(self, "color", tuple(float(c) for c in self.color))
        if len(self.color) != 3 or not all(0 <= c <= 1 for c in self.color):
            raise BadInputError(f'color of expert "{self.id}" is not three numbers in 0..1')
        if not 0.0 <= self.cost <= 1.0:
            raise BadInputError(f'cost of expert "{self.id}" is {self.cost}, expected 0..1')
        for name in ("seconds_per_region", "seconds_per_slice"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise BadInputError(f'{name} of expert "{self.id}" is {value}, expected 0 s or more')

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"color": list(self.color)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Expert:
        """From plain values; raises BadInputError naming what is missing, unknown or out of range."""
        if not isinstance(values, dict):
            raise BadInputError(f"an expert is a JSON object, not {type(values).__name__}")
        fields = dict(values)
        unknown = set(fields) - set(cls.__dataclass_fields__)
        if unknown:
            raise BadInputError(f"expert has unknown fields {sorted(unknown)}")
        try:
            fields["competence"] = Competence(**fields["competence"])
            fields["color"] = tuple(fields["color"])
            return cls(**fields)
        except BadInputError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise BadInputError(f"expert {fields.get('id', '?')!r} is not complete: {error}") from error


def check_experts(experts: Sequence[Expert]) -> tuple[Expert, ...]:
    """The experts as a tuple; raises BadInputError for none, too many, or two of one id."""
    ids = [e.id for e in experts]
    if not 1 <= len(ids) <= MAX_EXPERTS:
        raise BadInputError(f"{len(ids)} experts given, expected 1 to {MAX_EXPERTS}")
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise BadInputError(f"two experts have the id {twice[0]!r}")
    return tuple(experts)


def load_experts(path: Path) -> tuple[Expert, ...]:
    """Read profiles from a JSON file `{"schema": 1, "experts": [...]}`; raises BadInputError naming the file."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInputError(f'expert file "{path}" cannot be read: {error}') from error
    if not isinstance(content, dict) or content.get("schema") != 1 or not isinstance(content.get("experts"), list):
        raise BadInputError(f'expert file "{path}" is not {{"schema": 1, "experts": [...]}}')
    try:
        return check_experts([Expert.from_json(e) for e in content["experts"]])
    except BadInputError as error:
        raise BadInputError(f'expert file "{path}": {error}') from error


def without(experts: Sequence[Expert], absent: Iterable[str]) -> tuple[Expert, ...]:
    """The same experts with those named (by id or name) marked unavailable; raises BadInputError for an unknown one."""
    result = list(experts)
    for wanted in absent:
        matches = [n for n, e in enumerate(result) if wanted in (e.id, e.name)]
        if not matches:
            known = ", ".join(e.id for e in experts)
            raise BadInputError(f'no expert is called "{wanted}"; there are: {known}')
        for n in matches:
            result[n] = replace(result[n], available=False)
    return tuple(result)
