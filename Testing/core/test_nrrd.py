"""NRRD files: what ITK and we read of each other, and what is refused before memory is taken."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core import nrrd
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.core.nrrd import read_map, read_nrrd, write_nrrd
from DeferredSegSlicerLib.core.nrrd_header import read_nrrd_header
from hypothesis import given
from hypothesis import strategies as st


def some_voxels(grid: Geometry, components: int = 1, dtype: str = "uint8") -> np.ndarray:
    shape = grid.shape if components == 1 else (components, *grid.shape)
    return np.random.default_rng(3).integers(0, 250, shape).astype(dtype)


def edited(path: Path, old: str, new: str) -> Path:
    content = path.read_bytes()
    assert old.encode() in content
    path.write_bytes(content.replace(old.encode(), new.encode(), 1))
    return path


@pytest.mark.parametrize("grid_name", ["an_oblique_grid", "a_left_handed_grid"])
@pytest.mark.parametrize("components", [1, 2, 4])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_itk_reads_what_we_write(
    tmp_path: Path, request: pytest.FixtureRequest, grid_name: str, components: int, dtype: str
) -> None:
    grid = request.getfixturevalue(grid_name)
    voxels = some_voxels(grid, components, dtype)
    write_nrrd(tmp_path / "x.nrrd", voxels, grid, {"Name": "Läsion\nzwei\\n"})
    image = sitk.ReadImage(tmp_path / "x.nrrd")
    found = sitk.GetArrayFromImage(image)
    assert found.dtype == dtype and image.GetNumberOfComponentsPerPixel() == components
    assert np.array_equal(found if components == 1 else np.moveaxis(found, -1, 0), voxels)
    assert Geometry.of_image(image).differences_from(grid, 1e-9) == []
    assert image.GetMetaData("Name") == "Läsion\nzwei\\n"


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("grid_name", ["an_oblique_grid", "a_left_handed_grid"])
def test_we_read_what_itk_writes(
    tmp_path: Path, request: pytest.FixtureRequest, grid_name: str, components: int, compressed: bool
) -> None:
    grid = request.getfixturevalue(grid_name)
    voxels = some_voxels(grid, components)
    stored = voxels if components == 1 else np.moveaxis(voxels, 0, -1)
    image = grid.apply_to(sitk.GetImageFromArray(stored, isVector=components > 1))
    sitk.WriteImage(image, tmp_path / "x.nrrd", useCompression=compressed)
    found = read_map(tmp_path / "x.nrrd", grid, components)
    assert np.array_equal(found, voxels.reshape(components, *grid.shape)) and found.flags.c_contiguous


@given(
    size=st.tuples(*[st.integers(1, 6)] * 3),
    components=st.integers(1, 5),
    spacing=st.tuples(*[st.floats(0.01, 30)] * 3),
    origin=st.tuples(*[st.floats(-1e4, 1e4)] * 3),
)
def test_any_small_map_comes_back(tmp_path_factory, size, components, spacing, origin) -> None:  # type: ignore[no-untyped-def]
    grid = Geometry(size, spacing, origin)
    path = tmp_path_factory.mktemp("map") / "x.nrrd"
    voxels = some_voxels(grid, components).reshape(components, *grid.shape)
    write_nrrd(path, voxels if components > 1 else voxels[0], grid)
    assert np.array_equal(read_map(path, grid, components), voxels)
    header = read_nrrd_header(path)
    assert np.allclose(header.geometry.ijk_to_lps, grid.ijk_to_lps, rtol=1e-12, atol=0)


def test_the_same_voxels_give_the_same_file(tmp_path: Path, an_oblique_grid: Geometry) -> None:
    voxels = some_voxels(an_oblique_grid)
    first = write_nrrd(tmp_path / "a.nrrd", voxels, an_oblique_grid)
    assert write_nrrd(tmp_path / "b.nrrd", voxels, an_oblique_grid) == first
    assert first.bytes == (tmp_path / "a.nrrd").stat().st_size


def test_a_ras_file_lies_where_its_lps_twin_lies(tmp_path: Path, an_oblique_grid: Geometry) -> None:
    write_nrrd(tmp_path / "x.nrrd", some_voxels(an_oblique_grid), an_oblique_grid)
    text = "left-posterior-superior"
    moved = edited(tmp_path / "x.nrrd", text, "right-anterior-superior")
    found = read_nrrd_header(moved).geometry
    index = (3, 4, 5)
    assert np.allclose(found.ras_of(index), an_oblique_grid.ras_of(index) * (-1, -1, 1))


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<u4", ">f4"])
def test_both_byte_orders_are_read(tmp_path: Path, dtype: str) -> None:
    grid, voxels = Geometry((3, 2, 4), (1, 1, 1)), np.arange(24).reshape(4, 2, 3)
    names = {"i2": "short", "u4": "unsigned int", "f4": "float"}
    header = (
        f"NRRD0004\ntype: {names[dtype[1:]]}\ndimension: 3\nspace: left-posterior-superior\nsizes: 3 2 4\n"
        f"space directions: (1,0,0) (0,1,0) (0,0,1)\nendian: {'big' if dtype[0] == '>' else 'little'}\n"
        "encoding: raw\nspace origin: (0,0,0)\n\n"
    )
    (tmp_path / "x.nrrd").write_bytes(header.encode() + voxels.astype(dtype).tobytes())
    found = read_nrrd(tmp_path / "x.nrrd")
    assert found.dtype.isnative and np.array_equal(found[0], voxels)
    assert read_nrrd_header(tmp_path / "x.nrrd").geometry.shape == grid.shape


def test_layers_that_follow_each_other_are_read_as_layers(tmp_path: Path) -> None:
    voxels = np.arange(48, dtype=np.uint8).reshape(2, 4, 2, 3)
    header = (
        "NRRD0004\ntype: uchar\ndimension: 4\nspace: LPS\nsizes: 3 2 4 2\n"
        "space directions: (1,0,0) (0,1,0) (0,0,1) none\nkinds: domain domain domain list\nencoding: gzip\n\n"
    )
    (tmp_path / "x.nrrd").write_bytes(header.encode() + gzip.compress(voxels.tobytes()))
    assert np.array_equal(read_nrrd(tmp_path / "x.nrrd"), voxels)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("NRRD0004", "NRRD0009", "is not an NRRD file"),
        ("type: uint8", "type: block", "voxel type"),
        ("type: uint8", "type: int16", "byte order"),
        ("dimension: 4", "dimension: 3", "sizes"),
        ("sizes: 2 9", "sizes: 2 -9", "sizes"),
        ("sizes: 2 9", "sizes: 0 9", "numbers a voxel"),
        ("sizes: 2 9", "sizes: 2 0", "size"),
        ("sizes: 2 9 8 7", "sizes: 2 9 8 7 1", "sizes"),
        ("sizes: 2 9 8 7", "sizes: 2 900000 900000 900000", "voxels"),
        ("sizes: 2 9 8 7", "sizes: 2 2000 2000 2000", "cannot hold"),
        ("sizes: 2 9", "sizes: 9999 9", "numbers a voxel"),
        ("encoding: gzip", "encoding: bzip2", "encoding"),
        ("encoding: gzip", "encoding: gzip\nbyte skip: -1", "skips bytes"),
        ("encoding: gzip", "encoding: gzip\nencoding: raw", "twice"),
        ("encoding: gzip", "encoding: gzip\nrubbish", "no field"),
        ("encoding: gzip", "encoding: gzip\ndata file: ../secret", "same folder"),
        ("encoding: gzip", "encoding: gzip\ndata file: LIST", "same folder"),
        ("space: left-posterior-superior", "space: scanner-xyz", "space"),
        ("space directions: none (", "space directions: none (nan,", "numbers"),
        ("space directions: none", "space directions: (1,0,0)", "axes"),
        ("space origin: (", "space origin: (inf,", "numbers"),
    ],
)
def test_a_header_that_cannot_be_is_refused(
    tmp_path: Path, an_oblique_grid: Geometry, old: str, new: str, part: str
) -> None:
    write_nrrd(tmp_path / "x.nrrd", some_voxels(an_oblique_grid, 2), an_oblique_grid)
    with pytest.raises(BadInputError, match=part):
        read_nrrd(edited(tmp_path / "x.nrrd", old, new))


def test_a_header_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.nrrd").write_bytes(b"NRRD0004\ntype: uchar\n")
    with pytest.raises(BadInputError, match="cut off within its header"):
        read_nrrd_header(tmp_path / "x.nrrd")
    (tmp_path / "x.nrrd").write_bytes(b"NRRD0004\n" + b"# x\n" * 2_000_000)
    with pytest.raises(BadInputError, match="too long"):
        read_nrrd_header(tmp_path / "x.nrrd")


def test_a_map_of_another_kind_or_place_is_refused(
    tmp_path: Path, an_oblique_grid: Geometry, a_left_handed_grid: Geometry
) -> None:
    path = tmp_path / "x.nrrd"
    write_nrrd(path, some_voxels(an_oblique_grid, 2), an_oblique_grid)
    with pytest.raises(BadInputError, match="2 numbers of uint8 a voxel, expected 3"):
        read_map(path, an_oblique_grid, 3)
    with pytest.raises(BadInputError, match=r"lies elsewhere.*direction"):
        read_map(path, a_left_handed_grid, 2)
    write_nrrd(path, some_voxels(an_oblique_grid, 1, "int16"), an_oblique_grid)
    with pytest.raises(BadInputError, match="int16"):
        read_map(path, an_oblique_grid, 1)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("bytes_off", "part"), [(-1, r"cut off|cannot hold"), (-150, "cut off"), (1, r"too many|bytes after")]
)
def test_voxels_that_are_too_few_or_too_many_are_refused(
    tmp_path: Path, an_oblique_grid: Geometry, compressed: bool, bytes_off: int, part: str
) -> None:
    path = tmp_path / "x.nrrd"
    image = an_oblique_grid.apply_to(sitk.GetImageFromArray(some_voxels(an_oblique_grid)))
    sitk.WriteImage(image, path, useCompression=compressed)
    content = path.read_bytes()
    path.write_bytes(content[:bytes_off] if bytes_off < 0 else content + b"x" * bytes_off)
    with pytest.raises(BadInputError, match=part):
        read_map(path, an_oblique_grid, 1)


@pytest.mark.parametrize(("change", "part"), [(-5, "missing"), (5, "more than its header claims")])
def test_a_stream_that_unpacks_to_another_length_is_refused(
    tmp_path: Path, an_oblique_grid: Geometry, change: int, part: str
) -> None:
    path = tmp_path / "x.nrrd"
    write_nrrd(path, some_voxels(an_oblique_grid), an_oblique_grid)
    head = path.read_bytes().split(b"\n\n", 1)[0] + b"\n\n"
    path.write_bytes(head + gzip.compress(bytes(an_oblique_grid.voxel_count + change)))
    with pytest.raises(BadInputError, match=part):
        read_map(path, an_oblique_grid, 1)


def test_a_flipped_bit_never_changes_a_voxel_unnoticed(tmp_path: Path, an_oblique_grid: Geometry) -> None:
    path = tmp_path / "x.nrrd"
    write_nrrd(path, some_voxels(an_oblique_grid), an_oblique_grid)
    content = path.read_bytes()
    voxels = read_map(path, an_oblique_grid, 1)
    places = range(content.index(b"\n\n") + 12, len(content), 3)
    refused = 0
    for place in places:
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        try:
            assert np.array_equal(read_map(path, an_oblique_grid, 1), voxels)  # a bit that only fills up a byte
        except BadInputError:
            refused += 1
    assert refused >= len(places) - 1


LIMITED = """
import resource, sys
from pathlib import Path
import numpy
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.nrrd import read_nrrd
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
try:
    read_nrrd(Path(sys.argv[1]))
except BadInputError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_a_header_that_claims_a_terabyte_is_refused_without_taking_memory(tmp_path: Path, encoding: str) -> None:
    header = (
        "NRRD0004\ntype: double\ndimension: 4\nspace: LPS\nsizes: 16 2048 2048 2000\nendian: little\n"
        f"space directions: none (1,0,0) (0,1,0) (0,0,1)\nencoding: {encoding}\n\n"
    )
    (tmp_path / "x.nrrd").write_bytes(header.encode() + gzip.compress(bytes(100_000)))
    library = Path(nrrd.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "x.nrrd")],
        env={"PYTHONPATH": str(library), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    sentence, kilobytes = done.stdout.splitlines()
    assert "cut off: its header claims 16x2048x2048x2000 voxels" in sentence
    assert int(kilobytes) < 20_000


def test_a_bomb_is_stopped_at_the_length_that_its_header_claims(
    tmp_path: Path, an_oblique_grid: Geometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.nrrd"
    write_nrrd(path, some_voxels(an_oblique_grid), an_oblique_grid)
    head = path.read_bytes().split(b"\n\n", 1)[0] + b"\n\n"
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    path.write_bytes(head + bomb)
    monkeypatch.setattr(nrrd, "_CHUNK", 1 << 16)
    unpacked: list[int] = []
    real = zlib.decompressobj

    class Counting:
        def __init__(self, wbits: int) -> None:
            self._inner = real(wbits)

        def decompress(self, data: bytes, most: int) -> bytes:
            found = self._inner.decompress(data, most)
            unpacked.append(len(found))
            return found

        def __getattr__(self, name: str) -> object:
            return getattr(self._inner, name)

    monkeypatch.setattr(nrrd.zlib, "decompressobj", Counting)
    with pytest.raises(BadInputError, match="more than its header claims"):
        read_map(path, an_oblique_grid, 1)
    assert sum(unpacked) <= 1 << 17


def test_an_array_that_does_not_fit_its_grid_is_a_programming_error(tmp_path: Path, an_oblique_grid: Geometry) -> None:
    for array in (np.zeros((7, 8, 8), np.uint8), np.zeros((7, 8, 9)), np.zeros((1, 2, 7, 8, 9), np.uint8)):
        with pytest.raises(ValueError, match="cannot be stored"):
            write_nrrd(tmp_path / "x.nrrd", array, an_oblique_grid)
    assert list(tmp_path.iterdir()) == []
