"""A worker for the walk on the bench: the first job is done, step by step; every later one never ends.

Run in the place of an interpreter: `slow_clerk.py FOLDER ...`; the jobs that were begun are counted in the folder,
since a cancelled worker is a new process.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "logic"))

import clerk


def behave(request: dict[str, Any], first: bool) -> None:
    """Progress, ten times a second; then the case, or never."""
    total = 12 if first else 1200
    for done in range(total):
        clerk.say("progress", job=request["job"], stage="segment", done=done, total=total, seconds_left=None)
        time.sleep(0.1)
    clerk.work(request)


def main() -> None:
    """Greet, and work for whoever asks."""
    counted = Path(sys.argv[1]) / "jobs"
    test = {"passed": True, "message": "A sum came out right.", "seconds": 0.0}
    clerk.say("hello", versions={"torch": "none"}, device="cpu", self_test=test, pid=os.getpid())
    job: list[str | None] = [None]
    threading.Thread(target=clerk.beat, args=(job,), daemon=True).start()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if request["type"] == "shutdown":
            return
        with counted.open("a", encoding="utf-8") as file:
            file.write("x")
        job[0] = request["job"]
        behave(request, counted.stat().st_size == 1)
        job[0] = None


if __name__ == "__main__":
    main()
