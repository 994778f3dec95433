"""Read one NRRD, NIfTI or MetaImage file into a volume, or say in one sentence why it cannot be one."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BadInputError
from .geometry import MAX_VOXELS, Geometry
from .image_header import StoredImage, read_header
from .nrrd_header import DEFLATE_BEST
from .volume import Modality, Volume, guess_modality, sha256_of_voxels

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHUNK = 1 << 22


def read_image_file(path: Path, modality: Modality | None = None) -> Volume:
    """Read an image file; see `volume.read_volume`.

    ITK gives the geometry. The voxels are read here, straight into their final type, so that a cut or damaged file is
    noticed, and so that no 64-bit copy is ever in memory: 64-bit and unsigned 32-bit integers become int32 (refused if
    they do not fit), int32 becomes int16 where that is lossless, float64 becomes float32 (nearest value), and a NIfTI
    scale is applied (whole numbers stay integers).
    """
    try:
        stored = read_header(path)
        _check_kind(stored)
        geometry = _geometry_of(path, stored)
        check_length(stored)
        image = narrowed(_read_voxels(stored, geometry.shape))
    except BadInputError as error:
        raise BadInputError(f'image "{path}" {error}') from error
    except FileNotFoundError as error:
        raise BadInputError(f'image "{path}" does not exist') from error
    except OSError as error:
        raise BadInputError(f'image "{path}" cannot be read: {error.strerror or error}') from error
    return checked_volume(image, geometry, modality, path, f'image "{path}"')


def checked_volume(
    image: NDArray[np.generic], geometry: Geometry, modality: Modality | None, path: Path, who: str
) -> Volume:
    """The volume with its checksum, or BadInputError beginning with `who` if its voxels cannot be a scan's."""
    low, high = _extremes(image, geometry, who)
    if low == high:
        raise BadInputError(f"{who} is empty: every voxel is {low:g}")
    kind = modality if modality is not None else guess_modality(low)
    return Volume(image, geometry, kind, sha256_of_voxels(image), str(path))


@contextmanager
def quiet_itk() -> Iterator[None]:
    """ITK's warnings stay off stderr meanwhile; what matters is checked here and raised."""
    sitk = simple_itk()
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def simple_itk() -> Any:
    """Imported when a file is read: a Slicer may have been built without it, and Slicer has the voxels already."""
    try:
        import SimpleITK
    except ImportError as error:
        raise BadInputError("cannot be read: this Python lacks the package SimpleITK") from error
    return SimpleITK


def narrowed(image: NDArray[np.generic]) -> NDArray[np.generic]:
    """An int32 image as int16 if every voxel fits, else as it is; other types untouched."""
    limits = np.iinfo(np.int16)
    if image.dtype == np.int32 and all(p.min() >= limits.min and p.max() <= limits.max for p in image):
        return image.astype(np.int16)
    return image


def _check_kind(stored: StoredImage) -> None:
    if stored.dtype is None:
        raise BadInputError("has colors or other voxels of several numbers, expected one gray value a voxel")
    if len(stored.sizes) == 2:
        raise BadInputError(f"is 2D ({stored.sizes[0]}x{stored.sizes[1]}), expected a 3D volume")
    if len(stored.sizes) != 3:
        text = "x".join(map(str, stored.sizes))
        raise BadInputError(f"has {len(stored.sizes)} dimensions ({text}), expected 3; give one time point or channel")
    if math.prod(stored.sizes) > MAX_VOXELS:
        text = "x".join(map(str, stored.sizes))
        raise BadInputError(f"claims {text} voxels, more than any scan has ({MAX_VOXELS})")
    if len(stored.spacing) != 3 or not all(math.isfinite(s) and s > 0 for s in stored.spacing):
        raise BadInputError(f"has the voxel spacing {stored.spacing} mm, expected three finite numbers above 0")
    if not stored.oriented:
        raise BadInputError(
            "does not say how it lies in the patient (no qform, sform or anatomical space in its header)"
        )


def _geometry_of(path: Path, stored: StoredImage) -> Geometry:
    reader = simple_itk().ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(stored.reader)
    try:
        with quiet_itk():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise BadInputError(f"has a damaged header: {itk_cause(error)}") from error
    dimension = reader.GetDimension()
    matrix = np.asarray(reader.GetDirection()).reshape(dimension, dimension)
    if np.any(matrix[3:, :3]) or np.any(matrix[:3, 3:]):
        raise BadInputError("mixes its fourth axis into space")
    if tuple(reader.GetSize()[:3]) != stored.sizes or reader.GetNumberOfComponents() != 1:
        raise BadInputError(f"has {reader.GetNumberOfComponents()} numbers a voxel, expected one gray value a voxel")
    spacing = reader.GetSpacing()[:3]
    ratio = np.asarray(spacing) / stored.spacing
    if not np.allclose(ratio, ratio[0], rtol=0.01) or not np.isclose(ratio[0], [1, 1e-3, 1e3], rtol=0.01).any():
        raise BadInputError(f"contradicts itself: spacing {stored.spacing} mm against {spacing} mm of its orientation")
    try:
        return Geometry(reader.GetSize()[:3], spacing, reader.GetOrigin()[:3], tuple(matrix[:3, :3].ravel()))
    except BadInputError as error:
        raise BadInputError(f"cannot be placed in the patient: {error}") from error


def itk_cause(error: RuntimeError) -> str:
    """The last sentence of an ITK exception, on one line, without its source file and addresses."""
    lines = [line.strip(" :|") for line in str(error).splitlines() if line.strip(" :|")]
    cause = lines[-1] if lines else "unknown cause"
    for mark in ("ERROR: ", "): ", "Execute: "):
        cause = cause.rpartition(mark)[2]
    return cause[:160].rstrip(".")


def check_length(stored: StoredImage) -> None:
    """Raise BadInputError if the file is too short to hold the voxels that its header claims."""
    there = stored.data_file.stat().st_size - stored.start
    needed = stored.voxel_bytes if stored.packing == "raw" else (stored.voxel_bytes + stored.skip) // DEFLATE_BEST
    if there < needed:
        text = "x".join(map(str, stored.sizes))
        raise BadInputError(
            f"is cut off: its header claims {text} voxels ({stored.voxel_bytes} bytes), the file has {max(there, 0)}"
        )


def _read_voxels(stored: StoredImage, shape: tuple[int, int, int]) -> NDArray[np.generic]:
    """[k, j, i] in the final type, filled chunk by chunk from the file."""
    assert stored.dtype is not None
    target, convert = _conversion(stored)
    image = np.empty(math.prod(shape), target)
    done = 0
    try:
        for chunk in _chunks(stored):
            image[done : done + len(chunk)] = convert(chunk)
            done += len(chunk)
    except zlib.error as error:
        raise BadInputError(f"is damaged: its packed voxels cannot be unpacked ({error})") from error
    if done < len(image):
        raise BadInputError(f"is cut off: {done} of {len(image)} voxels are there")
    return image.reshape(shape)


def _conversion(
    stored: StoredImage,
) -> tuple[np.dtype[np.generic], Callable[[NDArray[np.generic]], NDArray[np.generic]]]:
    """Voxel type in memory, and the function from a stored chunk to it."""
    dtype, slope, intercept = stored.dtype, stored.slope, stored.intercept
    assert dtype is not None
    if slope == 1 and intercept == 0:
        if dtype.kind == "f":
            return np.dtype(np.float32), _to_float32
        if dtype.itemsize <= 2 or (dtype.itemsize == 4 and dtype.kind == "i"):
            return dtype.newbyteorder("="), lambda chunk: chunk
        return np.dtype(np.int32), _to_int32
    if dtype.kind in "iu" and float(slope).is_integer() and float(intercept).is_integer():
        return np.dtype(np.int32), lambda chunk: _to_int32(chunk.astype(np.float64) * slope + intercept)
    return np.dtype(np.float32), lambda chunk: _to_float32(chunk.astype(np.float64) * slope + intercept)


def _to_float32(chunk: NDArray[np.generic]) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        return chunk.astype(np.float32)


def _to_int32(chunk: NDArray[np.generic]) -> NDArray[np.int32]:
    limits = np.iinfo(np.int32)
    if len(chunk) and (chunk.min() < limits.min or chunk.max() > limits.max):  # type: ignore[operator]
        raise BadInputError(f"has voxels of {chunk.min()} to {chunk.max()}, past what 32-bit integers hold")
    return chunk.astype(np.int32)


def _chunks(stored: StoredImage) -> Iterator[NDArray[np.generic]]:
    """The stored voxels in order, a few MiB at a time; stops early if the file does."""
    assert stored.dtype is not None
    left, rest = stored.voxel_bytes, b""
    for data in unpacked(stored):
        data = rest + data
        whole = min(len(data), left) // stored.dtype.itemsize * stored.dtype.itemsize
        yield np.frombuffer(data[:whole], stored.dtype)
        left -= whole
        rest = data[whole:]


def unpacked(stored: StoredImage) -> Iterator[bytes]:
    """Bytes from the first voxel on; a deflate stream is read to its end so that its checksum is verified."""
    with stored.data_file.open("rb") as file:
        file.seek(stored.start)
        if stored.packing == "raw":
            left = stored.voxel_bytes
            while left > 0 and (data := file.read(min(_CHUNK, left))):
                left -= len(data)
                yield data
            return
        skip, left = stored.skip, stored.voxel_bytes
        unpacker = zlib.decompressobj(wbits=47)
        while not unpacker.eof:
            packed = unpacker.unconsumed_tail or file.read(_CHUNK // 4)
            data = unpacker.decompress(packed, _CHUNK) if packed else unpacker.flush()
            if not packed and not unpacker.eof:
                raise BadInputError("is cut off: its packed voxels end too early")
            left -= max(0, len(data) - skip)
            if left < -_CHUNK:
                raise BadInputError("unpacks to more than its header claims")
            yield data[skip:]
            skip = max(0, skip - len(data))
            if unpacker.eof and left > 0 and (packed := unpacker.unused_data or file.read(_CHUNK // 4)):
                unpacker = zlib.decompressobj(wbits=47)
                file.seek(-len(packed), 1)


def _extremes(image: NDArray[np.generic], geometry: Geometry, who: str) -> tuple[float, float]:
    """Lowest and highest voxel; raises BadInputError if any is NaN or infinite."""
    ranges = [(float(plane.min()), float(plane.max())) for plane in image]
    broken = [k for k, (low, high) in enumerate(ranges) if not (math.isfinite(low) and math.isfinite(high))]
    if broken:
        bad = [np.argwhere(~np.isfinite(image[k].astype(np.float32, copy=False))) for k in broken]
        first = (int(bad[0][0][1]), int(bad[0][0][0]), broken[0])
        ras = ", ".join(f"{x:.1f}" for x in geometry.ras_of(first))
        count = sum(len(b) for b in bad)
        raise BadInputError(
            f"{who} has {count} NaN or infinite voxels in {len(broken)} slices, "
            f"the first at index {first}, RAS ({ras}) mm"
        )
    return min(low for low, _ in ranges), max(high for _, high in ranges)
