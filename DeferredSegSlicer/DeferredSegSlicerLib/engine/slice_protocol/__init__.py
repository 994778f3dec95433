"""The published 2D protocol: square slices with ground-truth boxes, and its System, Expert and Model rows."""

from .experts import SliceExperts
from .prompts import tight_box
from .run import Run, SliceFigures, run_protocol
from .slices import CutSlice, cut_slices

__all__ = ["CutSlice", "Run", "SliceExperts", "SliceFigures", "cut_slices", "run_protocol", "tight_box"]
