"""Cases made without a network, and volumes that are hard to get right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from DeferredSegSlicerLib.core.case import Case, write_case
from DeferredSegSlicerLib.core.prompts import read_prompts
from DeferredSegSlicerLib.core.volume import Volume, read_volume
from DeferredSegSlicerLib.logic.experts import load_profiles
from DeferredSegSlicerLib.resources import find_resources

SAMPLE = "body_ct.nrrd"
REFERENCE = "body_ct_reference.seg.nrrd"
PROMPTS = "body_ct_prompts.json"


@dataclass(frozen=True)
class HardVolume:
    """A file whose grid is left-handed, a case on the file's own grid, and where the first structure is in it."""

    file: Path
    case: Case
    center_ras: tuple[float, float, float]


def sample_case(folder: Path) -> Case:
    """A case of the sample CT with three structures: the reference labels, doubtful at their borders."""
    samples = find_resources() / "SampleData"
    scan = read_volume(samples / SAMPLE, modality="CT")
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(samples / REFERENCE)))
    return _write(folder, scan, labels)


def left_handed(folder: Path) -> HardVolume:
    """The sample CT with its slices stacked the other way: every voxel where it was, the axes left-handed."""
    samples = find_resources() / "SampleData"
    scan, labels = (_mirrored(sitk.ReadImage(str(samples / name))) for name in (SAMPLE, REFERENCE))
    folder.mkdir(parents=True)
    file = folder / "left_handed.nrrd"
    sitk.WriteImage(scan, str(file))
    array = sitk.GetArrayFromImage(labels)
    case = _write(folder / "case", read_volume(file, modality="CT"), array)
    k, j, i = (float(at) for at in np.argwhere(array == 1).mean(axis=0))
    left, back, up = labels.TransformContinuousIndexToPhysicalPoint((i, j, k))
    return HardVolume(file, case, (-left, -back, up))


def _mirrored(image: sitk.Image) -> sitk.Image:
    array = np.ascontiguousarray(sitk.GetArrayFromImage(image)[::-1])
    mirrored = sitk.GetImageFromArray(array)
    mirrored.SetSpacing(image.GetSpacing())
    mirrored.SetOrigin(image.TransformIndexToPhysicalPoint((0, 0, image.GetSize()[2] - 1)))
    direction = np.reshape(image.GetDirection(), (3, 3)) * (1, 1, -1)
    mirrored.SetDirection(direction.ravel().tolist())
    return mirrored


def _write(folder: Path, scan: Volume, labels: np.ndarray) -> Case:
    structures = read_prompts(find_resources() / "SampleData" / PROMPTS)
    experts = load_profiles()
    sharp = (sitk.GetImageFromArray((labels == n).astype(np.float32)) for n in range(1, len(structures) + 1))
    soft = [sitk.GetArrayFromImage(sitk.DiscreteGaussian(image, 1.5)) for image in sharp]
    probability = np.clip(np.stack(soft) * 255, 0, 255).astype(np.uint8)
    doubt = np.clip(4 * np.stack(soft) * (1 - np.stack(soft)), 0, 1).max(axis=0)
    slabs = np.arange(len(labels)) // 6 % len(experts)  # each expert is the best one in slabs of six slices
    best = np.arange(len(experts))[:, None] == slabs
    handed = (doubt * np.where(best, 180, 30)[:, :, None, None]).astype(np.uint8)
    model = (255 - handed.sum(axis=0, dtype=np.uint16)).astype(np.uint8)
    return write_case(
        folder,
        volume=scan,
        structures=structures,
        experts=experts,
        probability=probability,
        routing=np.concatenate([handed, model[None]]),
        error=(doubt * 127).astype(np.uint8),
        method="margin",
        settings={"window": {"level": 40, "width": 400}, "zone_floor": 0.02, "zone_band_mm": 10},
        model={"id": "reference", "sha256": "0" * 64, "name": "Reference labels", "license": "Apache-2.0"},
        versions={"deferredseg": "self-test"},
    )
