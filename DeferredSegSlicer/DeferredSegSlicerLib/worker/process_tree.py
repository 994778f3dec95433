"""Start a process so that all it starts can be found again, and end all of that at once.

A worker may be a launcher (PythonSlicer) whose child does the work, and libraries start helpers of their own, so
killing one process is not enough. On Linux the tree is found by parent, by process group and by a marker in the
environment, which also finds daemons that left both; on macOS by parent and group; on Windows `taskkill /T` does it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MARKER = "DEFERREDSEG_WORKER_TREE"
"""Environment variable that every process of one worker's tree carries, with a value of its own for each worker."""

_LOOK_AGAIN_SECONDS = 0.01


def new_marker() -> str:
    """A value for MARKER that no other worker has."""
    return uuid.uuid4().hex


def start_options() -> dict[str, Any]:
    """Arguments for `subprocess.Popen` that give the process a group of its own, and no window on Windows."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def kill_tree(process: subprocess.Popen[bytes], marker: str, seconds: float = 1.0) -> bool:
    """End a process started with `start_options`, and all that it started, within so many seconds.

    Also ends what a process that is already dead has left behind. Returns False if something was still there when
    the time was up (a process that waits for a broken disk cannot be ended by anybody).
    """
    deadline = time.monotonic() + seconds
    if sys.platform == "win32":
        return _kill_tree_on_windows(process, deadline)
    while True:
        root = process.pid if process.poll() is None else None
        rest = _members(process.pid, root is not None, marker)
        if root is not None:
            rest.add(root)
        if not rest:
            return True
        if time.monotonic() > deadline:
            return False
        _kill(rest)
        time.sleep(_LOOK_AGAIN_SECONDS)


def kill_descendants() -> None:
    """End everything that the calling process has started, itself left out."""
    me = os.getpid()
    if sys.platform == "win32":
        return  # the client's taskkill does it; a process cannot spare itself in `taskkill /T`
    table = {entry.pid: entry for entry in _processes(os.environ.get(MARKER))}
    above = set()
    ancestor = table.get(me)
    while ancestor is not None and ancestor.pid not in above:
        above.add(ancestor.pid)
        ancestor = table.get(ancestor.parent)
    marked = {entry.pid for entry in table.values() if entry.marked}
    _kill((_below(me, table.values()) | marked) - above)


@dataclass(frozen=True)
class _Entry:
    pid: int
    parent: int
    group: int
    marked: bool


def _members(root: int, root_is_alive: bool, marker: str) -> set[int]:
    """Process ids of the tree, its root left out.

    Once the root has been waited for, its number may belong to somebody else: then the marker alone counts where it
    can be read, and the process group (which keeps its number while it has members) elsewhere.
    """
    table = list(_processes(marker))
    found = {entry.pid for entry in table if entry.marked}
    if root_is_alive:
        found |= _below(root, table)
    if root_is_alive or not sys.platform.startswith("linux"):
        found |= {entry.pid for entry in table if entry.group == root}
    return found - {root, os.getpid()}


def _below(root: int, table: Iterable[_Entry]) -> set[int]:
    children: dict[int, list[int]] = {}
    for entry in table:
        children.setdefault(entry.parent, []).append(entry.pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        new = [pid for pid in children.get(waiting.pop(), []) if pid not in found]
        found.update(new)
        waiting += new
    return found


def _processes(marker: str | None) -> Iterable[_Entry]:
    return _processes_of_proc(marker) if sys.platform.startswith("linux") else _processes_of_ps()


def _processes_of_proc(marker: str | None) -> Iterable[_Entry]:
    wanted = os.fsencode(f"{MARKER}={marker}") if marker else None
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                state, parent, group = file.read().rpartition(b")")[2].split()[:3]
        except (OSError, ValueError):  # it ended while we looked
            continue
        if state in (b"Z", b"X"):
            continue
        yield _Entry(int(name), int(parent), int(group), wanted is not None and wanted in _environment_of(name))


def _environment_of(name: str) -> list[bytes]:
    try:
        with open(f"/proc/{name}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:  # another user's process, or it ended while we looked
        return []


def _processes_of_ps() -> Iterable[_Entry]:
    command = ["/bin/ps", "-axo", "pid=,ppid=,pgid=,stat="]
    listing = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    for line in listing.splitlines():
        pid, parent, group, state = line.split(None, 3)
        if not state.startswith("Z"):
            yield _Entry(int(pid), int(parent), int(group), False)


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # gone already, or it became another user's: not ours to end
            continue


def _kill_tree_on_windows(process: subprocess.Popen[bytes], deadline: float) -> bool:
    if process.poll() is None:
        command = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
        subprocess.run(command, capture_output=True, timeout=10, check=False, **start_options())
    while process.poll() is None:
        if time.monotonic() > deadline:
            process.kill()
            return False
        time.sleep(_LOOK_AGAIN_SECONDS)
    return True
