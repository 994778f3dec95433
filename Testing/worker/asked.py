"""A stand-in for a server that takes re-prompts, and misbehaves on request: `python asked.py BEHAVIOR [FILE]`.

With a FILE, what it forgot is noted in it, a line each.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import json

from talker import beat, say

_forgotten: set[str] = set()


def answer(request: dict[str, Any], file: str | None = None) -> None:
    """The answer that a request should have."""
    say("alternatives", job=request["job"], file=file or request["answer"], count=0, timings={"reprompt": 0.5})


def label_all(request: dict[str, Any], structure: str) -> None:
    """One labeling: the whole region is the first structure."""
    voxels = json.loads(Path(request["region"]).read_text(encoding="utf-8"))["voxels"]
    labels = [n for gap, length in zip(voxels[::2], voxels[1::2], strict=True) for n in (gap, length, 1)]
    case = json.loads((Path(request["case"]) / "case.json").read_text(encoding="utf-8"))["id"]
    one = {"name": "re-prompt: mask 3", "changed": 1, "labels": labels}
    content = {"schema": 1, "case": case, "structure": structure, "alternatives": [one], "refused": {}}
    Path(request["answer"]).write_text(json.dumps(content), encoding="utf-8")
    say("alternatives", job=request["job"], file=request["answer"], count=1, timings={})


def behave(behavior: str, request: dict[str, Any]) -> None:
    """What the test wants to see the client cope with, for a re-prompt."""
    job = request["job"]
    if behavior == "answer":
        answer(request)
    elif behavior == "label all":
        label_all(request, request["structure"])
    elif behavior == "label another":
        label_all(request, "another")
    elif behavior == "other file":
        answer(request, request["answer"] + "-of-somebody-else")
    elif behavior == "error":
        message = {"code": "bad_input", "message": 'Structure "lung" is not in the case.', "advice": ""}
        say("error", job=job, **message, log=None, packages=[])
    elif behavior == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif behavior == "until forgotten":
        while job not in _forgotten:
            say("progress", job=job, stage="reprompt", done=1, total=2, seconds_left=None)
            time.sleep(0.02)


def main() -> None:
    """Greet, then do one request after the other on a thread, so that `forget` is heard meanwhile."""
    behavior = sys.argv[1]
    job: list[str | None] = [None]
    test = {"passed": True, "message": "a test", "seconds": 0.0}
    requests = {"requests": "forget reprompt segment shutdown"}
    time.sleep(0.1 if behavior == "answer" else 0)
    say("hello", versions=requests, device="cpu", self_test=test, pid=os.getpid())
    quiet = 1000.0 if behavior == "standstill" else 0.0
    threading.Thread(target=beat, args=(job, quiet), daemon=True).start()

    def work(request: dict[str, Any]) -> None:
        job[0] = request["job"]
        if request["type"] == "segment":
            say("result", job=request["job"], case=request["case"], timings={})
        elif behavior == "standstill":
            time.sleep(60)
        else:
            behave(behavior, request)
        job[0] = None

    for line in sys.stdin.buffer:
        request = json.loads(line)
        if request["type"] == "shutdown":
            return
        if request["type"] == "forget":
            _forgotten.add(request["job"])
            if len(sys.argv) > 2:
                with Path(sys.argv[2]).open("a", encoding="utf-8") as notes:
                    notes.write(request["job"] + "\n")
        else:
            threading.Thread(target=work, args=(request,), daemon=True).start()


if __name__ == "__main__":
    main()
