"""A worker without a network: speaks the protocol, writes real cases by a rule of thumb, and misbehaves on request.

Run as `python clerk.py BEHAVIOR [ARGUMENT]`. A voxel is foreground the more surely the deeper it lies in its box.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "DeferredSegSlicer"))

from DeferredSegSlicerLib.core.case import write_case
from DeferredSegSlicerLib.core.experts import load_experts
from DeferredSegSlicerLib.core.prompts import read_prompts
from DeferredSegSlicerLib.core.quantize import quantize_probability, quantize_shares
from DeferredSegSlicerLib.core.volume import read_volume
from DeferredSegSlicerLib.worker.staging import Staging, stamped

_lock = threading.Lock()


def say(kind: str, **fields: Any) -> None:
    """One message."""
    raw(json.dumps({"protocol": 1, "type": kind, **fields}).encode() + b"\n")


def raw(data: bytes) -> None:
    """Any bytes on stdout."""
    with _lock:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def beat(job: list[str | None]) -> None:
    """A heartbeat."""
    while True:
        say("heartbeat", job=job[0], quiet_seconds=0.0)
        time.sleep(0.2)


def maps_of(volume: Any, structures: Any, experts: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability, routing and error of a rule of thumb: uint8, as a case has them."""
    shape = volume.geometry.shape
    probability = np.zeros((len(structures), *shape), np.uint8)
    routing = np.zeros((len(experts) + 1, *shape), np.uint8)
    routing[-1] = 255
    error = np.zeros(shape, np.uint8)
    for number, structure in enumerate(structures):
        low, high = structure.box.index_range(volume.geometry)
        around = tuple(
            slice(max(0, a - (b - a) // 6), b + (b - a) // 6) for a, b in zip(low[::-1], high[::-1], strict=True)
        )
        at = [np.arange(n, dtype=np.float32)[part] for n, part in zip(shape, around, strict=True)]
        depth = np.ones([len(a) for a in at], np.float32)
        for axis, (a, b) in enumerate(zip(low[::-1], high[::-1], strict=True)):
            inside = np.minimum(at[axis] - a + 0.5, b - at[axis] - 0.5) / max(1.0, (b - a) / 12)
            np.minimum(depth, inside.reshape([-1 if axis == n else 1 for n in range(3)]), out=depth)
        probability[number][around] = quantize_probability(1 / (1 + np.exp(-3 * depth)))
        best = probability[number][around].astype(np.float32) / 255
        wrong = np.minimum(best, 1 - best)
        stripes = (
            (at[0][:, None, None] + at[1][:, None] + at[2]) // max(2, (high[2] - low[2]) // 3) % max(1, len(experts))
        )
        share = np.stack([wrong * (0.5 + (stripes == n)) * e.available for n, e in enumerate(experts)])
        share *= wrong / np.maximum(share.sum(axis=0), 1e-6)
        agents = quantize_shares(np.concatenate([share, (1 - wrong)[None]]))
        more = agents[-1] < routing[-1][around]
        for agent in range(len(agents)):
            np.copyto(routing[agent][around], agents[agent], where=more)
        np.maximum(error[around], quantize_probability(wrong), out=error[around])
    return probability, routing, error


def work(request: dict[str, Any]) -> None:
    """A whole case."""
    volume = read_volume(request["image"], modality=request["options"]["modality"])
    structures, experts = read_prompts(request["prompts"]), load_experts(Path(request["experts"]))
    job = request["job"]
    for done in range(4):
        say("progress", job=job, stage="segment", done=done, total=4, seconds_left=float(4 - done))
    maps = maps_of(volume, structures, experts)
    case = Path(request["case"])
    with Staging(case, job) as staging:
        write_case(
            staging.folder,
            volume,
            structures,
            experts,
            *maps,
            "margin",
            stamped({"zone_band_mm": 10.0, "options": request["options"]}, job),
            {"id": request["bundle"], "sha256": "0" * 64, "name": "Clerk", "license": "none"},
            {"python": sys.version},
        )
        staging.commit(False)
    say("progress", job=job, stage="write", done=1, total=1, seconds_left=0.0)
    say("result", job=job, case=request["case"], timings={})


def behave(behavior: str, argument: str, request: dict[str, Any]) -> None:
    """What a test wants to see the logic cope with."""
    job = request["job"]
    if behavior == "work":
        work(request)
    elif behavior == "slow":
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"], start_new_session=True)
        Path(argument).write_text(f"{os.getpid()} {helper.pid}")
        Path(request["case"]).parent.mkdir(parents=True, exist_ok=True)
        for done in range(1200):
            say("progress", job=job, stage="segment", done=done, total=1200, seconds_left=120.0 - done / 10)
            time.sleep(0.1)
    elif behavior == "gate":
        while not Path(argument).exists():
            say("progress", job=job, stage="segment", done=1, total=2, seconds_left=None)
            time.sleep(0.02)
        work(request)
    elif behavior == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif behavior == "garbage":
        raw(b"Downloading: 45%|####  |\r\n\xff\xfe\x00 caf\xe9\n[1, 2]\n42\n")
        raw(b"x" * 5_000_000 + b"\n")
        work(request)
    elif behavior == "silent":
        with _lock:
            time.sleep(120)
    elif behavior == "memory":
        sentence = "The computer's memory ran out."
        say(
            "error",
            job=job,
            code="out_of_memory",
            message=sentence,
            advice="Close other programs.",
            log=None,
            packages=[],
        )


def main() -> None:
    """Greet, wait for jobs, behave; leave at shutdown or when stdin closes."""
    behavior, argument = sys.argv[1], (sys.argv[2] if len(sys.argv) > 2 else "")
    if behavior == "lacking":
        message = "The interpreter lacks torch and timm."
        say(
            "error", job=None, code="missing_packages", message=message, advice="Install them.", log=None,
            packages=["torch", "timm"],
        )  # fmt: skip
        sys.exit(3)
    test = {"passed": True, "message": "A sum came out right.", "seconds": 0.0}
    say("hello", versions={"python": sys.version}, device="cpu", self_test=test, pid=os.getpid())
    job: list[str | None] = [None]
    threading.Thread(target=beat, args=(job,), daemon=True).start()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if request["type"] == "shutdown":
            return
        job[0] = request["job"]
        behave(behavior, argument, request)
        job[0] = None


if __name__ == "__main__":
    main()
