"""Which boxes to ask with: those of the run that made the case, found again from its maps, and tighter ones.

Rectangles are x0, y0, x1, y1 in display pixels, pixel centers at integers, float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk

from ...core.errors import BadInputError
from ..deferral.base import FOREGROUND
from ..propagate import Propagation, extent_of, propagate, without_crumbs
from ..views import Display, IndexBox, SliceView, choose_view

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..propagate import Rectangle


def boxes_of_run(
    shown: NDArray[np.uint8], box: IndexBox, view: SliceView, how: Propagation
) -> dict[int, NDArray[np.float32]]:
    """The box that each slice of a structure was segmented with, by display index; slices never looked at are left out.

    The way from slice to slice depends on the labels alone, and these are in the case: it is gone once more without the
    network. (A slice that came out empty at first, and not with the prompt box, gets the first of the two boxes.)

    Parameters
    ----------
    shown : uint8 (slice, row, column), the structure's stored probability as displayed. box : of its prompt.
    """

    def look(index: int, rectangle: Rectangle, direction: int) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = shown[index][view.window]
        return found

    def extent(stored: NDArray[np.uint8]) -> Rectangle | None:
        found = extent_of(without_crumbs(stored >= FOREGROUND, how.crumb))
        return None if found is None else found + _corner(view)

    steps = propagate(box.first[0], box.stop[0], box.rectangle, view.pixels_per_network_pixel, look, extent, how)
    return {step.index: step.rectangle for step in steps}


def tight_box(label: NDArray[np.bool_], near: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """Around those pieces of a slice's label that come near a region; None if none does.

    Parameters
    ----------
    label, near : (rows, columns) bool of the whole slice: the structure, and the region's neighborhood.
    """
    if not (label & near).any():
        return None
    pieces = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(label.astype(np.uint8)), True))
    wanted = np.unique(pieces[near & label])
    return extent_of(np.isin(pieces, wanted))


def view_of(settings: Mapping[str, Any], structure: str, display: Display, box: IndexBox) -> SliceView:
    """The slice view through which a structure was segmented, as the case's settings have it; chosen anew if not.

    Raises BadInputError for a view that does not fit the volume.
    """
    views = settings.get("views")
    stored = views.get(structure) if isinstance(views, Mapping) else None
    if stored is None:
        return choose_view(display, box, str(settings.get("view", "auto")))
    try:
        rows, columns, size = ((int(a), int(b)) for a, b in (stored[key] for key in ("rows", "columns", "size")))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInputError(f'the case does not say through which view "{structure}" was segmented') from error
    inside = 0 <= rows[0] < rows[1] <= display.shape[1] and 0 <= columns[0] < columns[1] <= display.shape[2]
    if not inside or not 0 < min(size) <= max(size) <= 2 * max(*display.shape[1:], 1024):
        raise BadInputError(f'the view through which "{structure}" was segmented does not fit the volume')
    return SliceView(rows, columns, size)


def propagation_of(settings: Mapping[str, Any]) -> Propagation:
    """How the box went from slice to slice; raises BadInputError for settings out of range."""
    stored = settings.get("propagation")
    try:
        return Propagation(**{str(k): float(v) for k, v in dict(stored or {}).items()})
    except (TypeError, ValueError) as error:
        raise BadInputError(f"the case's propagation is {stored!r:.100}, expected trust, reach and crumb") from error


def _corner(view: SliceView) -> NDArray[np.float32]:
    return np.array([view.columns[0], view.rows[0]] * 2, dtype=np.float32)
