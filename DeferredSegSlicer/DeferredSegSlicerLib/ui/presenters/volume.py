"""The input volume: how it is described, and when the panel must ask again which one is meant.

The worst bug would be to segment the last patient's scan while the next patient's is on the screen. So a volume that
came into the scene after the choice was made stops the work until the user has said which of the two is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..text import _
from .wording import names_text, quoted


@dataclass
class VolumeWatch:
    """Notices volumes that came after the user's choice.

    Attributes
    ----------
    chosen : id of the chosen volume, or an empty text.
    """

    chosen: str = ""
    _known: set[str] = field(default_factory=set)

    def look(self, chosen: str, present: Iterable[str]) -> tuple[str, ...]:
        """Ids of the volumes that came after the choice, given the choice as it is and all volumes of the scene.

        Another choice than before is a decision with everything in sight: nothing counts as new then.
        """
        ids = list(present)
        if chosen != self.chosen or not chosen:
            self.chosen, self._known = chosen, set(ids)
        return tuple(i for i in ids if i not in self._known)

    def confirm(self, present: Iterable[str]) -> None:
        """The user stays with the choice: what is there now is no news any more."""
        self._known = set(present)


def only_one(present: Sequence[str]) -> str:
    """The volume to choose without asking: the only one that is there, else an empty text."""
    return present[0] if len(present) == 1 else ""


def description(size: Sequence[int], spacing: Sequence[float], modality: str) -> str:
    """One line on a volume: voxels i, j, k; mm; modality "CT", "MR" or "other"."""
    voxels = " \u00d7 ".join(str(n) for n in size)
    mm = " \u00d7 ".join(f"{s:.3g}" for s in spacing)
    kind = {"CT": "CT", "MR": "MR"}.get(modality, _("unknown modality"))
    return _("{kind}, {voxels} voxels of {mm} mm").format(kind=kind, voxels=voxels, mm=mm)


def nothing_chosen(present: int) -> str:
    """What to do while no volume is chosen."""
    if present == 0:
        return _("Load a CT or MR volume first.")
    return _("Choose the volume to segment; {count} are loaded.").format(count=present)


def newcomers_text(chosen: str, newcomers: Sequence[str]) -> str:
    """The question that stops the work; names of volumes."""
    return _("{new} was loaded after you chose {chosen}. Which one is to be segmented?").format(
        new=names_text(newcomers), chosen=quoted(chosen)
    )


def question_reason() -> str:
    """Why nothing can be started while the question is open."""
    return _("Say first, above, which volume is to be segmented.")


def keep_text(chosen: str) -> str:
    """Tool tip of the answer that stays with the choice."""
    return _("Go on with {name}.").format(name=quoted(chosen))


def take_text(newest: str) -> str:
    """Tool tip of the answer that takes the volume that was loaded last."""
    return _("Select {name}.").format(name=quoted(newest))
