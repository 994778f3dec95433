"""The rows of the structures' table: names, prompts, and whether a row can be segmented."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ...core.structures import PALETTE, Terminology, terminology_of
from ..text import _
from .wording import quoted, size_text

NEW, SEGMENTED, MOVED = "new", "segmented", "moved"
"""How a structure stands to the result that is shown: not in it, in it as it is, in it with another prompt."""


@dataclass(frozen=True)
class StructureFacts:
    """One structure as the scene has it.

    Attributes
    ----------
    key : of the prompt entry. color : red, green, blue in 0..1.
    kind : "box" or "segment".
    size_mm : extent of the box, if there is one.
    source : for a segment, its name and the segmentation's.
    visible : whether the box is shown in the views; None for what cannot be shown or hidden here.
    problem : why it cannot be segmented, one sentence, or empty.
    standing : NEW, SEGMENTED or MOVED.
    other_volume : name of the volume in which the box was drawn, if it is not the chosen one.
    """

    key: str
    name: str
    color: tuple[float, float, float]
    terminology: Terminology
    kind: str
    size_mm: tuple[float, float, float] | None = None
    source: tuple[str, str] = ("", "")
    visible: bool | None = True
    problem: str = ""
    standing: str = NEW
    other_volume: str = ""


@dataclass(frozen=True)
class StructureRow:
    """One row as the table shows it."""

    key: str
    name: str
    color: tuple[float, float, float]
    code: str
    code_tip: str
    prompt: str
    prompt_tip: str
    state: str
    state_tip: str
    visible: bool | None
    wrong: bool
    emphasis: bool = False


def structure_rows(structures: Iterable[StructureFacts]) -> tuple[StructureRow, ...]:
    """Rows in the given order; a name that is used twice is wrong in its second row."""
    rows, taken = [], set()
    for facts in structures:
        folded = facts.name.strip().casefold()
        problem = facts.problem
        if not folded:
            problem = _("Give the structure a name.")
        elif folded in taken:
            problem = _("Another structure is called {name}; give each a name of its own.").format(
                name=quoted(facts.name)
            )
        taken.add(folded)
        rows.append(_row(facts, problem))
    return tuple(rows)


def first_problem(rows: Iterable[StructureRow]) -> str:
    """Why the structures cannot be segmented: the first row's problem with the row's name before it, or empty."""
    for row in rows:
        if row.wrong:
            return f"{quoted(row.name)}: {row.state_tip}" if row.name.strip() else row.state_tip
    return ""


def _row(facts: StructureFacts, problem: str) -> StructureRow:
    code, code_tip = terminology_text(facts.terminology)
    prompt, prompt_tip = _prompt(facts)
    state, state_tip = _state(facts, problem)
    return StructureRow(
        facts.key,
        facts.name,
        facts.color,
        code,
        code_tip,
        prompt,
        prompt_tip,
        state,
        state_tip,
        facts.visible,
        bool(problem),
        bool(problem or facts.other_volume),
    )


def terminology_text(terminology: Terminology) -> tuple[str, str]:
    """What a terminology entry says in the table ("Kidney, right"), and all of it for the tool tip."""
    short = terminology.type.meaning
    if terminology.modifier is not None:
        short = f"{short}, {terminology.modifier.meaning.lower()}"
    codes = [terminology.category, terminology.type, *([terminology.modifier] if terminology.modifier else [])]
    long = "\n".join(f"{code.meaning} ({code.scheme} {code.value})" for code in codes)
    return short, _("{codes}\nClick to choose another code.").format(codes=long)


def _prompt(facts: StructureFacts) -> tuple[str, str]:
    size = size_text(facts.size_mm) if facts.size_mm is not None else ""
    if facts.kind == "box":
        return size or _("box"), _("Box in the slice views: drag its handles until it holds the whole structure.")
    segment, segmentation = (quoted(name) for name in facts.source)
    tip = _("The box around segment {segment} of {segmentation}").format(segment=segment, segmentation=segmentation)
    return size or _("segment"), f"{tip}, {size} mm." if size else f"{tip}."


def _state(facts: StructureFacts, problem: str) -> tuple[str, str]:
    if problem:
        return _("check"), problem
    if facts.other_volume:
        return _("other scan"), _(
            "This box was drawn in {volume}: see that it fits the volume that is chosen now."
        ).format(volume=quoted(facts.other_volume))
    if facts.standing == SEGMENTED:
        return _("done"), _("Segmented with this prompt.")
    if facts.standing == MOVED:
        return _("changed"), _("The prompt has changed since the result was made; segment again.")
    return _("ready"), _("Ready to be segmented.")


def next_name(names: Collection[str]) -> str:
    """A name for a new structure that no other has: "structure 1", "structure 2"."""
    taken = {name.strip().casefold() for name in names}
    number = 1
    while (name := _("structure {number}").format(number=number)).casefold() in taken:
        number += 1
    return name


def next_color(colors: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """The first color of the palette that is used least, so that neighbors in the table differ."""
    used = [sum(_near(color, other) for other in colors) for color in PALETTE]
    return PALETTE[used.index(min(used))]


def _near(color: Sequence[float], other: Sequence[float]) -> bool:
    return all(abs(a - b) < 0.01 for a, b in zip(color, other, strict=True))


def renamed(old: str, new: str, terminology: Terminology) -> Terminology:
    """The code after a new name: the new name's if the old one's was never changed by hand, else as it is."""
    return terminology_of(new) if terminology == terminology_of(old) else terminology


def add_hint(name: str) -> str:
    """What to do with a box that was just added."""
    return _("Drag the handles of {name} until the box holds the whole structure, and name it in the table.").format(
        name=quoted(name)
    )


def first_box_hint(name: str) -> str:
    """What to do after a click on Segment that found no structure."""
    return _("There was no structure yet, so a box was added. ") + add_hint(name)


def nothing_yet() -> str:
    """What to do while the table is empty."""
    return _("Add a box around each structure that is to be segmented, or take segments that exist already.")
