"""While a region is edited: what may be painted, how much was, and what came of it."""

from __future__ import annotations

from ...presenters.wording import quoted
from ...text import _


def title(structure: str) -> str:
    """Caption of the edit area."""
    return _("Editing {structure}").format(structure=quoted(structure))


def limit_text(margin_mm: float, lifted: bool) -> str:
    """Where one can paint."""
    if lifted:
        return _("CAUTION: the limit is lifted. You can change every voxel of the scan, also what others accepted.")
    if margin_mm == 0:
        return _("You can paint inside the region alone; its limit is drawn in the views.")
    return _("You can paint in the region and {margin:g} mm around it; the limit is drawn in the views.").format(
        margin=margin_mm
    )


def lifted_reason() -> str:
    """Why the margin cannot be changed."""
    return _("The limit is lifted.")


def count_text(voxels: int, put_back: int = 0) -> str:
    """How much was drawn, and how much of that was beyond the limit."""
    if not voxels:
        text = _("Nothing is changed yet.")
    else:
        text = _("1 voxel changed.") if voxels == 1 else _("{voxels} voxels changed.").format(voxels=voxels)
    return f"{text} {put_back_text(put_back)}".strip()


def outcome_text(structure: str, changed: int | None, put_back: int) -> str:
    """After an edit; `changed` is None if nothing was recorded."""
    if changed is None:
        text = _("Nothing was drawn, so nothing was recorded.")
    else:
        text = _("{structure} corrected, {voxels} voxels differ from the model.").format(
            structure=structure, voxels=changed
        )
    return f"{text} {put_back_text(put_back)}".strip()


def put_back_text(voxels: int) -> str:
    """What was drawn beyond the limit, or an empty text."""
    if not voxels:
        return ""
    if voxels == 1:
        return _("1 voxel drawn beyond the limit was put back.")
    return _("{voxels} voxels drawn beyond the limit were put back.").format(voxels=voxels)


def discard_question(voxels: int) -> str:
    """Asked before drawn voxels are thrown away."""
    return _("Discard what you have drawn ({voxels} voxels)? The region stays as it was before.").format(voxels=voxels)


def discarded_text() -> str:
    """After discarding."""
    return _("Discarded: the region is as it was before.")
