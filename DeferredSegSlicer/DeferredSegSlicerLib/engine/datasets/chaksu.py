"""Chákṣu: fundus photographs in which five ophthalmologists outlined the optic disc and the optic cup.

The folders below are those of the archives Train.zip and Test.zip on figshare, as several independent published
readers of them describe them. The archives' spelling varies, so names are compared without regard to case: one
expert's folder is "Bosch/cup", another's "Bosch/Cup", and photographs end in .JPG, .jpg or .png.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from ...core.errors import BadInputError
from .base import Dataset, Subject
from .files import first_folder, visible
from .photographs import load_photograph
from .splits import SplitRule

CLASSES = ("optic disc rim", "optic cup")
"""Label 1 is the disc outside its cup, label 2 the cup, so the whole disc is what has any label."""

PHOTOGRAPHS = "1.0_Original_Fundus_Images"
MASKS = "3.0_Doctors_Annotations_Binary_OD_OC"
_PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
_SUFFIX_OF_EXPERT_4 = "glsusp"


def open_chaksu(folder: Path, rule: SplitRule) -> Dataset:
    """Train/ and Test/, each with photographs and with binary masks of disc and cup by Expert 1 to 5.

    The photographs are 1.0_Original_Fundus_Images/CAMERA/NAME.jpg, the masks
    3.0_Doctors_Annotations_Binary_OD_OC/Expert N/CAMERA/{Disc,Cup}/NAME.tif; Train/Train/ is taken for Train/. Test/
    tests. A name that begins with p and a number ("P11_image_1") is that patient's; the data names no others, so each
    other photograph is taken for a patient. Photographs in Train/ of a patient who is also in Test/ are left out. The
    truth is what at least three of the five marked, for disc and cup apart; the fused masks that come with the data
    are not read.

    Raises
    ------
    BadInputError : another layout, or a photograph without the masks of an expert.
    """
    halves = {name: place for name in ("Train", "Test") if (place := _half(folder, name)) is not None}
    if not halves:
        raise BadInputError(f'folder "{folder}" has no Chaksu data, expected Train/{PHOTOGRAPHS} and Train/{MASKS}')
    found = {name: _photographs(place) for name, place in halves.items()}
    tests = {_patient("Test", camera, file) for camera, file, _ in found.get("Test", [])}
    listed = [
        (f"{half}/{camera}/{file.stem}", _patient(half, camera, file), half, file, masks)
        for half, photographs in found.items()
        for camera, file, masks in photographs
    ]
    kept = [item for item in listed if item[2] == "Test" or item[1] not in tests]
    split = rule.divide((patient for _, patient, *_ in kept), tests)
    return Dataset(
        name="Chákṣu",
        kind="chaksu",
        classes=CLASSES,
        planar=True,
        license="CC BY 4.0",
        citation="Kumar JRH, et al. Chákṣu: A glaucoma specific fundus image database. Scientific Data 10:70, 2023, "
        "doi 10.1038/s41597-023-01943-4; data: doi 10.6084/m9.figshare.20123135",
        listed=tuple(
            Subject(identifier, patient, split[patient], "other", partial(load_photograph, file, masks))
            for identifier, patient, _, file, masks in kept
        ),
    )


def _half(folder: Path, name: str) -> Path | None:
    place = first_folder(folder, [name])
    if place is None or first_folder(place, [PHOTOGRAPHS]) is not None:
        return place
    return first_folder(place, [name]) or place


def _patient(half: str, camera: str, file: Path) -> str:
    match = re.match(r"p\d+(?=[_-])", file.stem, re.IGNORECASE)
    return f"{camera}/{match[0].lower()}" if match else f"{half}/{camera}/{file.stem}"


def _photographs(half: Path) -> list[tuple[str, Path, dict[str, tuple[Path, Path]]]]:
    """(camera, photograph, disc and cup mask by expert) of Train/ or Test/."""
    photographs, masks = first_folder(half, [PHOTOGRAPHS]), first_folder(half, [MASKS])
    if photographs is None or masks is None:
        raise BadInputError(f'folder "{half}" has another layout, expected {PHOTOGRAPHS} and {MASKS} in it')
    experts = {p.name.replace("_", " "): p for p in visible(masks) if re.fullmatch(r"expert[ _]\d+", p.name.lower())}
    if not experts:
        raise BadInputError(f'folder "{masks}" has no experts, expected folders "Expert 1" to "Expert 5"')
    found = []
    for camera in (place for place in visible(photographs) if place.is_dir()):
        drawn = {
            name: [_pictures(place, camera.name, part) for part in ("Disc", "Cup")] for name, place in experts.items()
        }
        for file in (f for f in visible(camera) if f.suffix.lower() in _PICTURES):
            marks = {name: (_mask(file, disc), _mask(file, cup)) for name, (disc, cup) in drawn.items()}
            found.append((camera.name, file, marks))
    if not found:
        raise BadInputError(f'folder "{photographs}" has no photographs, expected Bosch/, Forus/ and Remidio/ in it')
    return found


def _pictures(expert: Path, camera: str, part: str) -> tuple[Path, dict[str, Path]]:
    """The folder of an expert's masks, and the masks by their names' stem in lower case."""
    place = first_folder(expert, [camera])
    inner = None if place is None else first_folder(place, [part])
    if inner is None:
        return expert / camera / part, {}
    return inner, {f.stem.lower(): f for f in visible(inner) if f.suffix.lower() in _PICTURES}


def _mask(photograph: Path, drawn: tuple[Path, dict[str, Path]]) -> Path:
    place, masks = drawn
    stem = photograph.stem.lower()
    for name in (stem, stem + _SUFFIX_OF_EXPERT_4):
        if name in masks:
            return masks[name]
    raise BadInputError(f'photograph "{photograph}" has no mask, expected "{place / (photograph.stem + ".tif")}"')
