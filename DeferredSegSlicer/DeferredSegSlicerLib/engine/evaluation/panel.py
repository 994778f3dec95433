"""Who is asked in an evaluation: profiles for routing, and the labels that each expert would give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import BadInputError
from ...core.experts import MAX_EXPERTS, Competence, Expert, check_experts, load_experts
from ...resources import find_resources
from ..simulation import (
    CORRELATED_READERS,
    SPECIALISTS,
    PublishedExpert,
    SimulatedReader,
    correlated_readers,
    published_experts,
    simulate_readers,
    specialist_readers,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_COUNT = 3

UNDECLARED = Competence(0.9, 0.9, 0.9)
"""Of a reader of whom nothing is declared; if all are alike, routing by competence asks the first."""

COLORS = (
    (0.902, 0.624, 0.0),
    (0.0, 0.447, 0.698),
    (0.8, 0.475, 0.655),
    (0.0, 0.62, 0.451),
    (0.835, 0.369, 0.0),
    (0.337, 0.706, 0.914),
)
"""Okabe and Ito's colors, the first three as in the default profiles."""

SENTENCES = {
    "simulated": "Experts are simulated: readers with spatially correlated errors, drawn from the truth, test seeds.",
    "simulated-specialists": (
        "Experts are simulated: readers with large, spatially correlated errors outside their speciality, drawn from "
        "the truth, test seeds."
    ),
    "simulated-published": "Experts are simulated: independent voxel flips as published with DeferredSeg, test seeds.",
    "readings": (
        "Experts are the human readers of the data, judged by the data's truth; where that truth was made from the "
        "same readings, each reader has a part in it and looks somewhat better than he or she is."
    ),
}
"""What every table says of its experts."""


@dataclass(frozen=True, eq=False)
class Panel:
    """The experts of one case.

    Attributes
    ----------
    experts : (J) profiles, all on duty and free. opinions : uint8 (J, k, j, i), labels like the truth.
    """

    experts: tuple[Expert, ...]
    opinions: NDArray[np.uint8]


def convene(
    kind: str,
    truth: NDArray[np.uint8],
    readings: Sequence[tuple[str, NDArray[np.uint8]]],
    spacing: tuple[float, float, float],
    image_id: str,
    seed: int,
    head: Mapping[str, Any] | None = None,
) -> Panel:
    """The experts of a case and their labels.

    Parameters
    ----------
    kind : one of `EXPERT_KINDS`. truth : [k, j, i] labels.
    readings : name and labels of each human reader, for kind "readings".
    spacing : (k, j, i) mm. image_id, seed : of the simulation, whose split is always "test".
    head : description of the bundle's deferral head; it decides how many experts are simulated, and their ids.

    Raises
    ------
    BadInputError : no readings in the data, or more experts than can be simulated.
    """
    if kind == "readings":
        if not readings:
            raise BadInputError(f'image "{image_id}" has no human readings; use --experts simulated')
        asked = readings[:MAX_EXPERTS]
        profiles = [_profile(_identifier(name), name, UNDECLARED, number) for number, (name, _) in enumerate(asked)]
        return Panel(check_experts(profiles), np.stack([labels for _, labels in asked]))
    named = list((head or {}).get("experts", ()))
    readers = _readers(kind, [one["id"] for one in named])
    profiles = [_profile_of_reader(reader, number) for number, reader in enumerate(readers)]
    if named:
        profiles = [replace(p, id=one["id"], name=one["name"]) for p, one in zip(profiles, named, strict=True)]
    opinions = simulate_readers(truth, spacing, readers, image_id, "test", seed)
    return Panel(tuple(profiles), opinions)


def _readers(kind: str, names: Sequence[str]) -> Sequence[SimulatedReader]:
    """Readers for a head's experts: by their names if those are known, else the first so many; three without a head."""
    count = len(names) or DEFAULT_COUNT
    known = {reader.name: reader for reader in SPECIALISTS if kind == "simulated-specialists"}
    known = known or {reader.name: reader for reader in CORRELATED_READERS if kind == "simulated"}
    if names and set(names) <= set(known):
        return [known[name] for name in names]
    makers = {"simulated": correlated_readers, "simulated-specialists": specialist_readers}
    try:
        return makers[kind](count) if kind in makers else published_experts("similar", count)
    except ValueError as error:
        raise BadInputError(f"{count} experts cannot be simulated: {error}") from error


def _profile_of_reader(reader: SimulatedReader, number: int) -> Expert:
    """The default profile of that name, the published accuracies, or a profile that declares nothing."""
    for expert in load_experts(find_resources() / "Experts" / "default.json"):
        if expert.id == reader.name:
            return expert
    competence = UNDECLARED
    if isinstance(reader, PublishedExpert):
        # The band around the surface is half foreground, half edge ring.
        competence = Competence(reader.foreground, reader.background, (reader.foreground + reader.edge) / 2)
    return _profile(reader.name, reader.name, competence, number)


def _profile(identifier: str, name: str, competence: Competence, number: int) -> Expert:
    return Expert(identifier, name, "reader", COLORS[number % len(COLORS)], competence)


def _identifier(name: str) -> str:
    """A reader's name with what no id may have taken out."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in name).strip("-_")
    return plain[:60] or "reader"
