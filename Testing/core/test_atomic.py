"""Files are whole or not there: on a full disk, a read-only one, and after any fault."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from DeferredSegSlicerLib.core import atomic
from DeferredSegSlicerLib.core.errors import BadInputError


def names_in(folder: Path) -> list[str]:
    return sorted(place.name for place in folder.iterdir())


def test_text_bytes_and_json_come_back_as_written(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "a.txt", "größer\r\n")
    atomic.write_bytes(tmp_path / "b", b"\x00\xff")
    atomic.write_json(tmp_path / "c.json", {"name": "Läsion", "values": [1, 0.1]})
    assert (tmp_path / "a.txt").read_bytes() == "größer\r\n".encode()
    assert (tmp_path / "b").read_bytes() == b"\x00\xff"
    assert json.loads((tmp_path / "c.json").read_text(encoding="utf-8")) == {"name": "Läsion", "values": [1, 0.1]}
    assert names_in(tmp_path) == ["a.txt", "b", "c.json"]


def test_the_file_reaches_the_disk_before_its_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def seen_fsync(descriptor: int) -> None:
        steps.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    def seen_replace(old: Path, new: Path) -> None:
        assert Path(old).parent == Path(new).parent and Path(old).read_bytes() == b"new"
        steps.append("rename")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "replace", seen_replace)
    atomic.write_bytes(tmp_path / "file", b"new")
    assert steps == ["file", "rename", "folder"]


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("place", ["fsync", "replace"])
def test_a_failing_disk_is_named_and_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, cause: str, place: str
) -> None:
    file = tmp_path / "case.json"
    file.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, place, fail)
    with pytest.raises(BadInputError) as refused:
        atomic.write_text(file, "new")
    assert str(file) in str(refused.value) and cause in str(refused.value)
    assert file.read_text(encoding="utf-8") == "old" and names_in(tmp_path) == ["case.json"]


def test_a_writer_that_breaks_off_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "map.nrrd"
    file.write_text("old")

    def half(stream) -> None:  # type: ignore[no-untyped-def]
        stream.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic.write_via(file, half)
    assert file.read_text(encoding="utf-8") == "old" and names_in(tmp_path) == ["map.nrrd"]


def test_json_cannot_hold_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic.write_json(tmp_path / "x.json", {"spacing": float("nan")})
    assert names_in(tmp_path) == []


def test_a_real_device_without_room_is_called_full(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r'map\.nrrd" cannot be written: the disk is full'):
        atomic.write_via(tmp_path / "map.nrrd", lambda _: Path("/dev/full").write_bytes(b"x"))  # type: ignore[arg-type]
    assert names_in(tmp_path) == []


def test_a_file_past_the_systems_limit_leaves_nothing_behind(tmp_path: Path) -> None:
    code = (
        "import sys, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from DeferredSegSlicerLib.core.atomic import write_bytes\n"
        "from DeferredSegSlicerLib.core.errors import BadInputError\n"
        "try: write_bytes(sys.argv[1], b'x' * 1_000_000)\n"
        "except BadInputError as error: print(error)\n"
    )
    library = Path(atomic.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "map.nrrd")],
        env=os.environ | {"PYTHONPATH": str(library), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "map.nrrd" in done.stdout and "larger than the system allows" in done.stdout
    assert names_in(tmp_path) == []


def test_places_where_nothing_can_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place, cause in [
        (tmp_path / "no folder" / "x", "its folder does not exist"),
        (tmp_path / "file" / "x", "not a folder"),
        (tmp_path / ("n" * 300), "too long"),
        (tmp_path, "a folder is in its place"),
        (Path("/proc/x"), "cannot be written"),
    ]:
        with pytest.raises(BadInputError) as refused:
            atomic.write_text(place, "text")
        assert cause in str(refused.value) and str(place) in str(refused.value)
    assert names_in(tmp_path) == ["file"]


def test_a_folder_without_permission_is_refused_for_a_user_who_is_not_root(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    (locked / "old").write_text("old")
    locked.chmod(0o555)
    tmp_path.chmod(0o755)
    code = (
        "import os, sys\n"
        "from DeferredSegSlicerLib.core.atomic import write_text\n"
        "from DeferredSegSlicerLib.core.errors import BadInputError\n"
        "os.chdir(sys.argv[1])\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "try: write_text('old', 'new')\n"
        "except BadInputError as error: print(error)\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, str(locked)],
            env=os.environ | {"PYTHONPATH": str(Path(atomic.__file__).parents[2])},
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        locked.chmod(0o755)
    assert "no permission" in done.stdout
    assert (locked / "old").read_text(encoding="utf-8") == "old" and names_in(locked) == ["old"]
