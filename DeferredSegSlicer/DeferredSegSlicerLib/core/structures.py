"""Structures to segment: a name, a terminology code, a color and a box prompt in RAS mm."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .errors import BadInputError
from .geometry import Geometry

PALETTE: tuple[tuple[float, float, float], ...] = (
    (0.87, 0.80, 0.47),
    (0.55, 0.75, 0.88),
    (0.62, 0.82, 0.60),
    (0.80, 0.62, 0.82),
    (0.90, 0.68, 0.60),
    (0.72, 0.72, 0.72),
)
"""Pale structure colors (Tol's light scheme), apart from the saturated colors of the experts."""


@dataclass(frozen=True)
class Code:
    """One coded concept as DICOM has it: scheme designator, code value, code meaning."""

    scheme: str
    value: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.scheme}^{self.value}^{self.meaning}"


TISSUE = Code("SCT", "85756007", "Tissue")
ANATOMICAL_STRUCTURE = Code("SCT", "123037004", "Anatomical Structure")
MORPHOLOGICALLY_ALTERED = Code("SCT", "49755003", "Morphologically Altered Structure")


@dataclass(frozen=True)
class Terminology:
    """What a segment is, in codes: category, type and, for paired organs, the type's modifier (side)."""

    category: Code = TISSUE
    type: Code = TISSUE
    modifier: Code | None = None

    @property
    def is_lesion(self) -> bool:
        """Whether it is something that should not be there (a neoplasm, a nodule), and no organ or tissue."""
        return (self.category.scheme, self.category.value) == ("SCT", MORPHOLOGICALLY_ALTERED.value)

    def to_slicer(self) -> str:
        """Slicer's serialized terminology entry, for the tag `TerminologyEntry` of a segment."""
        modifier = str(self.modifier) if self.modifier else "^^"
        return (
            "Segmentation category and type - 3D Slicer General Anatomy list"
            f"~{self.category}~{self.type}~{modifier}~Anatomic codes - DICOM master list~^^~^^"
        )

    @classmethod
    def from_slicer(cls, text: str) -> Terminology:
        """Read Slicer's serialized entry; raises BadInputError if it has no category and type."""
        parts = text.split("~")
        codes = [Code(*part.split("^")[:3]) for part in parts[1:4] if part.count("^") == 2]
        if len(codes) != 3 or not codes[0].value or not codes[1].value:
            raise BadInputError(f"terminology entry {text!r} has no category and type")
        return cls(codes[0], codes[1], codes[2] if codes[2].value else None)


_RIGHT, _LEFT = Code("SCT", "24028007", "Right"), Code("SCT", "7771000", "Left")
_ORGANS = {
    "liver": ("10200004", "Liver", False),
    "spleen": ("78961009", "Spleen", False),
    "kidney": ("64033007", "Kidney", True),
    "pancreas": ("15776009", "Pancreas", False),
    "stomach": ("69695003", "Stomach", False),
    "gallbladder": ("28231008", "Gallbladder", False),
    "aorta": ("15825003", "Aorta", False),
    "lung": ("39607008", "Lung", True),
    "heart": ("80891009", "Heart", False),
    "prostate": ("41216001", "Prostate", False),
    "bladder": ("89837001", "Urinary bladder", False),
    "adrenal": ("23451007", "Adrenal gland", True),
    "hippocampus": ("5366008", "Hippocampus", True),
}
_LESIONS = {"tumor": "Neoplasm", "tumour": "Neoplasm", "lesion": "Lesion", "nodule": "Nodule", "gtv": "Neoplasm"}
_LESION_CODES = {
    "Neoplasm": Code("SCT", "108369006", "Neoplasm"),
    "Lesion": Code("SCT", "52988006", "Lesion"),
    "Nodule": Code("SCT", "27925004", "Nodule"),
}


def terminology_of(name: str) -> Terminology:
    """Codes for an everyday structure name ("right kidney", "Liver", "tumour"); plain tissue if it is not known."""
    words = re.split(r"[^a-z]+", name.lower())
    for word in words:
        if word in _LESIONS:
            return Terminology(MORPHOLOGICALLY_ALTERED, _LESION_CODES[_LESIONS[word]])
    for organ, (value, meaning, paired) in _ORGANS.items():
        if organ in words:
            side = next((c for w, c in (("right", _RIGHT), ("left", _LEFT)) if paired and w in words), None)
            return Terminology(ANATOMICAL_STRUCTURE, Code("SCT", value, meaning), side)
    return Terminology()


@dataclass(frozen=True)
class Box:
    """An axis-aligned box prompt in RAS mm: the lowest and the highest corner.

    Raises
    ------
    BadInputError : numbers that are not finite, swapped corners, or no extent along an axis.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def __post_init__(self) -> None:
        low, high = tuple(float(v) for v in self.low), tuple(float(v) for v in self.high)
        if len(low) != 3 or len(high) != 3 or not all(math.isfinite(v) for v in low + high):
            raise BadInputError(f"box {low} {high} does not have six finite numbers")
        for letter, a, b in zip("RAS", low, high, strict=True):
            if a > b:
                raise BadInputError(f"box corners are swapped along {letter}: {a:g} mm comes before {b:g} mm")
            if a == b:
                raise BadInputError(f"box has no volume: both corners are at {letter} {a:g} mm")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @classmethod
    def of_numbers(cls, numbers: Sequence[float]) -> Box:
        """From six numbers R0, A0, S0, R1, A1, S1 in RAS mm."""
        if len(numbers) != 6:
            raise BadInputError(f"a box needs six numbers R0,A0,S0,R1,A1,S1 in mm, got {len(numbers)}")
        return cls(tuple(numbers[:3]), tuple(numbers[3:]))  # type: ignore[arg-type]

    def grown(self, margin_mm: float) -> Box:
        """The box with every face moved outward by a margin in mm."""
        return Box(tuple(v - margin_mm for v in self.low), tuple(v + margin_mm for v in self.high))  # type: ignore[arg-type]

    def index_range(self, geometry: Geometry) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """First and last-plus-one index (i, j, k) of the smallest index box around the RAS box, cut to the volume.

        For an oblique volume it is the index-space bounding box of the eight corners. A voxel counts as inside if
        its center is; at least one voxel is returned along every axis.
        Raises BadInputError if the box lies outside the volume.
        """
        corners = np.array([[(self.low, self.high)[b][a] for a, b in enumerate(bits)] for bits in np.ndindex(2, 2, 2)])
        ijk = geometry.ijk_of(corners)
        size = np.asarray(geometry.size)
        low, high = ijk.min(axis=0), ijk.max(axis=0)
        if np.any(high < -0.5) or np.any(low > size - 0.5):
            raise BadInputError(f"lies outside the volume: {self._against(geometry)}")
        first = np.clip(np.ceil(low - 1e-6), 0, size - 1).astype(int)
        last = np.clip(np.floor(high + 1e-6), 0, size - 1).astype(int)
        middle = np.clip(np.rint((low + high) / 2), 0, size - 1).astype(int)
        thin = last < first
        first[thin] = last[thin] = middle[thin]
        stop = last + 1
        return (int(first[0]), int(first[1]), int(first[2])), (int(stop[0]), int(stop[1]), int(stop[2]))

    def _against(self, geometry: Geometry) -> str:
        bounds = geometry.bounds_ras
        found = [
            f"{letter} {a:.0f}..{b:.0f} mm, volume {letter} {lo:.0f}..{hi:.0f} mm"
            for letter, a, b, lo, hi in zip("RAS", self.low, self.high, bounds[0], bounds[1], strict=True)
            if b < lo or a > hi
        ]
        everything = " ".join(f"{x} {lo:.0f}..{hi:.0f}" for x, lo, hi in zip("RAS", *bounds, strict=True))
        return "; ".join(found) or f"the oblique volume spans {everything} mm but does not reach the box"


@dataclass(frozen=True)
class Structure:
    """One thing to segment.

    Attributes
    ----------
    id : segment id, letters, digits, `_`, `-` and `.` only; unique in a case.
    name : what the user calls it; unique in a case.
    box : the box prompt in RAS mm, or None for networks that need no prompt.
    color : red, green, blue in 0..1.
    terminology : DICOM codes.
    """

    id: str
    name: str
    box: Box | None = None
    color: tuple[float, float, float] = PALETTE[0]
    terminology: Terminology = Terminology()

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise BadInputError("a structure needs a name")
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", self.id) or self.id.startswith("."):
            raise BadInputError(f"structure id {self.id!r} may have letters, digits, '_', '-' and '.' alone")
        if len(self.color) != 3 or not all(0 <= c <= 1 for c in self.color):
            raise BadInputError(f'color {self.color} of "{self.name}" is not three numbers in 0..1')


def make_structures(named_boxes: Iterable[tuple[str, Box | None]]) -> list[Structure]:
    """Structures with ids, palette colors and terminology from (name, box) pairs, in order.

    Raises BadInputError for two of one name (case and outer spaces do not count), or none at all.
    """
    structures: list[Structure] = []
    for number, (raw, box) in enumerate(named_boxes):
        name = raw.strip()
        if any(s.name.casefold() == name.casefold() for s in structures):
            raise BadInputError(f'two structures are called "{name}"; give each a name of its own')
        stem = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:48] or "structure"
        taken = {s.id for s in structures}
        identifier = stem if stem not in taken else f"{stem}_{number + 1}"
        color = PALETTE[number % len(PALETTE)]
        structures.append(Structure(identifier, name, box, color, terminology_of(name)))
    if not structures:
        raise BadInputError("no structure to segment: give at least one --box, --prompts or --from-segmentation")
    return structures


def check_inside(structures: Iterable[Structure], geometry: Geometry) -> None:
    """Raise BadInputError, naming the structure, if a box does not reach the volume."""
    for structure in structures:
        if structure.box is not None:
            try:
                structure.box.index_range(geometry)
            except BadInputError as error:
                raise BadInputError(f'box for "{structure.name}" {error}') from error


def with_box(structure: Structure, box: Box) -> Structure:
    """The structure with another box."""
    return replace(structure, box=box)
