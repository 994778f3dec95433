"""A color photograph with disc and cup masks of several readers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from ...core.errors import BadInputError
from ...core.image_file import itk_cause, quiet_itk
from .base import LoadedSlice, Reading
from .volumes import marked_by_half

if TYPE_CHECKING:
    from numpy.typing import NDArray


def load_photograph(image: Path, masks: Mapping[str, tuple[Path, Path]]) -> LoadedSlice:
    """The photograph (3, H, W) in 0..1; label 1 is the disc outside the cup, label 2 the cup.

    Parameters
    ----------
    masks : outer (disc) and inner (cup) mask by reader. The truth is what at least half of the readers marked, for
        both apart; a cup is taken for disc too.

    Raises
    ------
    BadInputError : a picture that cannot be read or has no colors, or a mask of another size.
    """
    pixels = _read(image)
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or pixels.dtype != np.uint8:
        raise BadInputError(f'photograph "{image}" is {_described(pixels)}, expected 8-bit colors')
    readings = []
    for name, (disc_file, cup_file) in masks.items():
        disc, cup = (_mask(file, pixels.shape[:2], image) for file in (disc_file, cup_file))
        readings.append(Reading(name, _labels(disc, cup)))
    disc = marked_by_half([reading.labels > 0 for reading in readings])
    cup = marked_by_half([reading.labels == 2 for reading in readings])
    colors = np.ascontiguousarray(pixels[..., :3].transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
    return LoadedSlice(colors, _labels(disc, cup), tuple(readings))


def _labels(disc: NDArray[np.bool_], cup: NDArray[np.bool_]) -> NDArray[np.uint8]:
    labels = (disc | cup).astype(np.uint8)
    labels[cup] = 2
    return labels


def _mask(path: Path, shape: tuple[int, ...], image: Path) -> NDArray[np.bool_]:
    """True above half of the brightest pixel, which is 1 or 255; JPEG leaves grays at the rim."""
    stored = _read(path)
    gray = stored if stored.ndim == 2 else stored[..., :3].max(axis=2)
    if gray.shape != shape:
        raise BadInputError(f'mask "{path}" has {_size(gray.shape)} pixels, but "{image}" has {_size(shape)}')
    return np.asarray(gray > gray.max() / 2)


def _read(path: Path) -> NDArray[np.generic]:
    """(H, W) or (H, W, channels) in the stored type."""
    try:
        with quiet_itk():
            picture = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise BadInputError(f'picture "{path}" cannot be read: {itk_cause(error)}') from error
    array = np.asarray(sitk.GetArrayFromImage(picture))
    if picture.GetDimension() == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim not in (2, 3):
        raise BadInputError(f'picture "{path}" is {_described(array)}, expected one picture')
    return array


def _described(array: NDArray[np.generic]) -> str:
    return f"{array.dtype.name} of shape {array.shape}"


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
