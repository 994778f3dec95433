"""The slices of a volume as pictures, as the published protocol wants them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .base import LoadedCase, LoadedSlice, Reading


def slices_of(case: LoadedCase, size: int = 256, window: tuple[float, float] | None = None) -> Iterator[LoadedSlice]:
    """The slices that have a label, from the first to the last, each stretched to `size` x `size`.

    Slices are taken along the axis that the scanner stacked them (axial for axial scans) and shown in the radiological
    orientation. Gray values are windowed over the volume, then brought to 0..1 slice by slice and repeated three
    times; images bilinear, labels nearest (DeferredSeg's and MedSAM's preprocessing). A slice whose labels vanish at
    this size is left out.

    Parameters
    ----------
    window : (level, width) in the scan's units; without it level 40, width 400 HU for CT, else percentiles.

    Raises
    ------
    BadInputError : a volume without contrast, or a window without width.
    """
    from ..slice_protocol.slices import cut_slices

    asked = None if window is None else {str(case.volume.modality): {"level": window[0], "width": window[1]}}
    for cut in cut_slices(case, size, asked):
        image = np.broadcast_to(cut.image.astype(np.float32), (3, size, size))
        readings = tuple(Reading(name, labels) for name, labels in cut.readings.items())
        yield LoadedSlice(np.ascontiguousarray(image), cut.truth, readings)
