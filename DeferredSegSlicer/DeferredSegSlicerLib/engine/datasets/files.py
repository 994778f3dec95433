"""Finding a data set's files: without the operating system's droppings, and with a sentence for what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ...core.errors import BadInputError

NIFTI = (".nii.gz", ".nii")


def existing_folder(folder: Path, what: str) -> Path:
    """The folder; BadInputError that says `what` was expected there if it is none."""
    if not folder.is_dir():
        state = "is a file" if folder.is_file() else "does not exist"
        raise BadInputError(f'folder "{folder}" {state}, expected {what}')
    return folder


def first_folder(folder: Path, names: Iterable[str]) -> Path | None:
    """The first subfolder of one of the names, whatever the case of its letters, or None."""
    there = {place.name.casefold(): place for place in visible(folder) if place.is_dir()}
    return next((there[name.casefold()] for name in names if name.casefold() in there), None)


def visible(folder: Path) -> list[Path]:
    """What is in a folder, sorted by name, without hidden files, macOS' `._` doubles and `__MACOSX`.

    Raises
    ------
    BadInputError : the folder cannot be read.
    """
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.name != "__MACOSX")
    except OSError as error:
        raise BadInputError(f'folder "{folder}" cannot be read: {error.strerror or error}') from error


def files_below(folder: Path) -> Iterator[Path]:
    """All visible files in a folder and its subfolders, sorted."""
    for place in visible(folder):
        if place.is_dir():
            yield from files_below(place)
        else:
            yield place


def nifti(folder: Path, stem: str) -> Path | None:
    """`stem`.nii.gz or `stem`.nii in a folder, or None; BadInputError if there are both."""
    found = [folder / (stem + end) for end in NIFTI if (folder / (stem + end)).is_file()]
    if len(found) > 1:
        raise BadInputError(f'"{found[0]}" and "{found[1]}" are the same image, expected one of them')
    return found[0] if found else None


def matching(files: Iterable[Path], pattern: str) -> dict[str, Path]:
    """Files whose whole name matches, by the pattern's first group (case does not count).

    Raises
    ------
    BadInputError : two files for one group.
    """
    found: dict[str, Path] = {}
    for file in files:
        match = re.fullmatch(pattern, file.name, re.IGNORECASE)
        if match is None:
            continue
        if match[1] in found:
            raise BadInputError(f'"{found[match[1]]}" and "{file}" are both called {match[1]}, expected one of them')
        found[match[1]] = file
    return found


def pairs(
    images: Mapping[str, Path], masks: Mapping[str, Path], folder: Path, naming: str
) -> dict[str, tuple[Path, Path]]:
    """(image, mask) by key, sorted.

    Parameters
    ----------
    naming : what the files are called, for the error, such as "imagesTr/*.nii.gz with labelsTr/*.nii.gz".

    Raises
    ------
    BadInputError : no image at all, an image without a mask, or a mask without an image.
    """
    if not images:
        raise BadInputError(f'folder "{folder}" has no images, expected {naming}')
    for key, file in sorted({**masks, **images}.items()):
        if key not in masks:
            raise BadInputError(f'image "{file}" has no mask, expected {naming}')
        if key not in images:
            raise BadInputError(f'mask "{file}" has no image, expected {naming}')
    return {key: (images[key], masks[key]) for key in sorted(images)}
