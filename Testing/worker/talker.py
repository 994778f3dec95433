"""A stand-in for the server that speaks the protocol in plain JSON and misbehaves on request.

Run as `python talker.py BEHAVIOR [ARGUMENT]`; it behaves once a segment message has come.
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

_lock = threading.Lock()


def say(kind: str, **fields: Any) -> None:
    """One message."""
    raw(json.dumps({"protocol": 1, "type": kind, **fields}).encode() + b"\n")


def raw(data: bytes) -> None:
    """Any bytes on stdout."""
    with _lock:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def hello() -> None:
    """The usual greeting."""
    test = {"passed": True, "message": "a test", "seconds": 0.0}
    say("hello", versions={"python": sys.version}, device="cpu", self_test=test, pid=os.getpid())


def beat(job: list[str | None], quiet: float) -> None:
    """A heartbeat, often enough for impatient tests."""
    while True:
        say("heartbeat", job=job[0], quiet_seconds=quiet)
        time.sleep(0.05)


def sleeper(own_session: bool = False) -> subprocess.Popen[bytes]:
    """A grandchild that would sleep for a minute."""
    return subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        start_new_session=own_session,
        stdin=subprocess.DEVNULL,
    )


def behave(behavior: str, argument: str, request: dict[str, Any]) -> None:
    """What the test wants to see the client cope with."""
    job, case = request["job"], request["case"]
    if behavior == "result":
        say("result", job=job, case=case, timings={})
    elif behavior == "grandchildren":
        pids = [sleeper().pid, sleeper(own_session=True).pid]
        daemon = (
            "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
            " start_new_session=True, stdin=-3, stdout=-3, stderr=-3); print(p.pid)"
        )
        pids.append(int(subprocess.run([sys.executable, "-c", daemon], capture_output=True, check=True).stdout))
        Path(argument).write_text(" ".join(map(str, pids)))
        say("progress", job=job, stage="spawned", done=0, total=1, seconds_left=None)
        time.sleep(60)
    elif behavior == "kill":
        sleeper_pid = sleeper(own_session=True).pid
        Path(argument).write_text(str(sleeper_pid))
        os.kill(os.getpid(), signal.SIGKILL)
    elif behavior == "abort":
        os.abort()
    elif behavior == "exit":
        sys.exit(int(argument))
    elif behavior == "garbage":
        raw(b"Downloading weights: 45%|####  |\r\n")
        raw(b"\xff\xfe\x00 caf\xe9 \x80\n")
        raw(b'{"stage": "a print that is JSON"}\n[1, 2]\n42\n{"protocol": 1, "type": "resu\n\n')
        raw(b"x" * 100_000_000 + b"\n")
        say("result", job=job, case=case, timings={})
    elif behavior == "flood":
        total = int(argument)
        for number in range(total):
            say("progress", job=job, stage="encode", done=number, total=total, seconds_left=float(total - number))
        say("result", job=job, case=case, timings={})
    elif behavior == "silent":
        with _lock:
            time.sleep(60)
    elif behavior == "standstill":
        time.sleep(60)
    elif behavior == "newer":
        raw(b'{"protocol": 2, "type": "result", "job": "x", "case": "y", "timings": {}}\n')
        time.sleep(60)
    elif behavior == "other case":
        say("result", job=job, case=case + "-of-somebody-else", timings={})
        time.sleep(60)
    elif behavior == "deaf":
        time.sleep(60)


def main() -> None:
    """Greet, wait for a job, behave; leave at shutdown or when stdin closes, unless deaf."""
    behavior, argument = sys.argv[1], (sys.argv[2] if len(sys.argv) > 2 else "")
    if behavior == "mute":
        time.sleep(60)
    if behavior == "lacking":
        message = {"job": None, "code": "missing_packages", "message": "torch is missing.", "advice": "Install it."}
        say("error", **message, log=None, packages=["torch"])
        sys.exit(3)
    if behavior == "broken":
        print("Traceback: broken", file=sys.stderr)
        sys.exit(1)
    job: list[str | None] = [None]
    hello()
    threading.Thread(target=beat, args=(job, 1000.0 if behavior == "standstill" else 0.0), daemon=True).start()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if request["type"] == "shutdown":
            if behavior == "deaf":
                time.sleep(60)
            return
        job[0] = request["job"]
        behave(behavior, argument, request)
        job[0] = None


if __name__ == "__main__":
    main()
