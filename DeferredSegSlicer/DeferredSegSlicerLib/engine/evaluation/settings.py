"""What an evaluation was asked for, and a fingerprint that tells whether a finished case still answers it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...core.budgets import check_share
from ...core.errors import BadInputError
from ..deferral import UNTRAINED
from ..versions import software_versions

BASELINES = UNTRAINED
"""Methods without training, which learned deferral has to beat."""

REFERENCES = ("random", "oracle")
"""Orders of deferral that need no network: the floor, and the ceiling that knows the truth."""

EVALUATED = ("learned", *BASELINES, *REFERENCES)
"""Every method that can be evaluated, in the order of the tables."""

EXPERT_KINDS = ("simulated", "simulated-specialists", "simulated-published", "readings")
DEFAULT_BUDGETS = (0.01, 0.02, 0.05, 0.1, 0.2)
DEFAULT_SEED = 2027

_UNUSED_PARTS = ("training", "losses")
"""Folders of the engine that no figure depends on."""


@dataclass(frozen=True)
class EvaluationSettings:
    """What decides a case's figures, beside the bundle, the image and the code.

    Attributes
    ----------
    methods : out of `EVALUATED`. experts : one of `EXPERT_KINDS`.
    margin_mm : by how much the tight box around the truth is grown to make the prompt.
    budgets : shares of the decision zone, rising. seed : of simulated readers, random deferral and resampling.
    device, precision : as for segmenting.

    Raises
    ------
    BadInputError : an unknown method or kind, no method that segments, a margin below 0, budgets outside 0..1.
    """

    methods: tuple[str, ...] = EVALUATED
    experts: str = "simulated"
    margin_mm: float = 5.0
    budgets: tuple[float, ...] = DEFAULT_BUDGETS
    seed: int = DEFAULT_SEED
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        for method in self.methods:
            if method not in EVALUATED:
                raise BadInputError(f'method "{method}" cannot be evaluated, expected some of {", ".join(EVALUATED)}')
        if self.experts not in EXPERT_KINDS:
            raise BadInputError(f'experts are "{self.experts}", expected one of {", ".join(EXPERT_KINDS)}')
        if not set(self.methods) - set(REFERENCES):
            raise BadInputError("no method that segments is asked for: add one such as margin")
        if not (math.isfinite(self.margin_mm) and self.margin_mm >= 0):
            raise BadInputError(f"margin around the truth is {self.margin_mm} mm, expected 0 or more")
        if not self.budgets:
            raise BadInputError("no budget is given, expected shares of the decision zone such as 0.05,0.1")
        object.__setattr__(self, "methods", tuple(m for m in EVALUATED if m in self.methods))
        object.__setattr__(self, "budgets", tuple(sorted({check_share(budget) for budget in self.budgets})))
        if self.budgets[0] == 0:
            raise BadInputError("budget 0 defers nothing, so there is nothing to evaluate; leave it out")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"methods": list(self.methods), "budgets": list(self.budgets)}


def fingerprint(settings: EvaluationSettings, model: Mapping[str, Any], dataset: Mapping[str, str]) -> str:
    """Hex digest of all that decides the figures of a data set's cases: settings, bundle, data folder, code.

    model : `Bundle.to_json()`, with the checksums of its weights. dataset : kind and folder, as given.
    """
    content = [settings.to_json(), dict(model), dict(dataset), software_versions(), code_digest()]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()


@cache
def code_digest() -> str:
    """Hex digest of the library's own code that figures depend on (core, and engine without training)."""
    library = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for part in ("core", "engine"):
        for path in sorted((library / part).rglob("*.py")):
            place = path.relative_to(library).as_posix()
            if place.split("/")[1] not in _UNUSED_PARTS:
                digest.update(f"{place}\n".encode() + path.read_bytes())
    return digest.hexdigest()
