"""The worker process: `python -m DeferredSegSlicerLib.worker.server --log FILE`.

It takes its stdin and stdout for the protocol, sends a heartbeat from then on, checks that the packages it needs are
there, says hello, and does one job after the other. It leaves when it is told to or when stdin closes, because then
the program that started it has ended.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from . import process_tree
from .channel import Channel, ClientGoneError
from .checks import ProtocolError
from .protocol import Error, Heartbeat, Message, Progress, Segment, Shutdown
from .reprompt_messages import Forget, NotWantedError, Reprompt

if TYPE_CHECKING:
    from .jobs import Jobs

REQUIRED_PACKAGES = {
    "numpy": "numpy",
    "SimpleITK": "SimpleITK",
    "torch": "torch",
    "torchvision": "torchvision",
    "segment_anything": "segment-anything",
    "timm": "timm",
    "safetensors": "safetensors",
}
"""What the engine cannot do without: import name → name to install."""

HEARTBEAT_SECONDS = 1.0
PROGRESS_SECONDS = 0.1

EXIT_LEFT, EXIT_NOT_USABLE = 0, 3

_log = logging.getLogger(__name__)


class Throttle:
    """Lets about ten reports of a job pass in a second, and always the first of a stage and the last of all."""

    def __init__(self) -> None:
        self._stage = ""
        self._passed_at = 0.0

    def lets_pass(self, progress: Progress, now: float) -> bool:
        """Whether a report at a time in seconds is to be sent."""
        first, last = progress.stage != self._stage, progress.done >= progress.total
        if not (first or last or now - self._passed_at >= PROGRESS_SECONDS):
            return False
        self._stage, self._passed_at = progress.stage, now
        return True


class Server:
    """One worker: a channel, a heartbeat, a listener, and jobs on the main thread."""

    def __init__(self, channel: Channel, device: str, warm: str | None, log_path: str | None) -> None:
        self._channel = channel
        self._device = device
        self._warm = warm
        self._log_path = log_path
        self._inbox: queue.SimpleQueue[Segment | Reprompt] = queue.SimpleQueue()
        self._forgotten: set[str] = set()
        self._jobs: Jobs | None = None
        self._job: str | None = None
        self._moved_at = time.monotonic()
        self._throttle = Throttle()

    def run(self) -> int:
        """Serve until told to leave; returns the exit code if the interpreter lacks what is needed."""
        for work in (self._listen, self._beat):
            threading.Thread(target=work, name=work.__name__, daemon=True).start()
        problem = missing_packages() or self._load()
        if problem is not None:
            self._send(problem)
            return EXIT_NOT_USABLE
        while True:
            self._do(self._inbox.get())

    def _load(self) -> Error | None:
        """Import the engine and say hello; returns what to tell if a package is there but cannot be loaded."""
        try:
            from .jobs import Jobs
        except (ImportError, OSError) as error:
            _log.exception("the engine cannot be imported")
            return broken_package(error, self._log_path)
        self._jobs = Jobs(self._log_path)
        self._send(self._jobs.hello(self._device))
        if self._warm is not None:
            self._jobs.warm_up(self._warm, self._device)
        return None

    def _do(self, request: Segment | Reprompt) -> None:
        if self._jobs is None:
            raise AssertionError("a job before hello")
        self._throttle, self._moved_at, self._job = Throttle(), time.monotonic(), request.job
        answer: Message | None
        try:
            if isinstance(request, Segment):
                answer = self._jobs.run(request, self._progress)
            else:
                answer = self._jobs.reprompt(request, self._reprompt_progress)
        finally:
            self._job = None
        self._forgotten.discard(request.job)
        if answer is not None:
            self._send(answer)

    def _reprompt_progress(self, progress: Progress) -> None:
        if progress.job in self._forgotten:
            raise NotWantedError
        self._progress(progress)

    def _progress(self, progress: Progress) -> None:
        self._moved_at = time.monotonic()
        if self._throttle.lets_pass(progress, self._moved_at):
            self._send(progress)

    def _beat(self) -> None:
        while True:
            job = self._job
            self._send(Heartbeat(job, max(0.0, time.monotonic() - self._moved_at) if job else 0.0))
            time.sleep(HEARTBEAT_SECONDS)

    def _listen(self) -> None:
        for message in self._channel.receive():
            if isinstance(message, Segment | Reprompt):
                self._inbox.put(message)
            elif isinstance(message, Forget):
                self._forgotten.add(message.job)
            elif isinstance(message, Shutdown):
                self._leave()
            else:
                self._send(_not_understood(message, self._log_path))
        self._leave()

    def _send(self, message: Message) -> None:
        try:
            self._channel.send(message)
        except ClientGoneError:
            self._leave()

    def _leave(self) -> NoReturn:
        """End at once, from any thread: throw the running job away, end what was started, and go."""
        if self._jobs is not None:
            self._jobs.abandon()
        process_tree.kill_descendants()
        logging.shutdown()
        os._exit(EXIT_LEFT)


def missing_packages() -> Error | None:
    """What this interpreter lacks, by name, without importing any of it; None if all is there."""
    missing = tuple(name for module, name in REQUIRED_PACKAGES.items() if importlib.util.find_spec(module) is None)
    if not missing:
        return None
    return Error(
        None,
        "missing_packages",
        f'The interpreter "{sys.executable}" lacks {_listed(missing)}.',
        f"Install {_listed(missing)} into it in Set-up, or choose another interpreter.",
        packages=missing,
    )


def broken_package(error: Exception, log_path: str | None) -> Error:
    """What to tell of a package that is there but cannot be loaded (a library missing, a version that does not fit)."""
    module = (getattr(error, "name", None) or "").partition(".")[0]
    name = REQUIRED_PACKAGES.get(module, module)
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return Error(
        None,
        "missing_packages",
        f'{name or "A package"} cannot be loaded by the interpreter "{sys.executable}": {reason}',
        f"Install {name or 'the packages'} again in Set-up, or choose another interpreter.",
        log_path,
        (name,) if name else (),
    )


def _not_understood(what: Message | ProtocolError, log_path: str | None) -> Error:
    reason = str(what) if isinstance(what, ProtocolError) else f"a {type(what).__name__} is not for the worker"
    _log.error("not understood: %s", reason)
    return Error(None, "protocol", f"The worker did not understand a message: {reason[:300]}.", log=log_path)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker on this process's stdin and stdout."""
    channel = Channel.claim()
    parser = argparse.ArgumentParser(prog="python -m DeferredSegSlicerLib.worker.server", description=__doc__)
    parser.add_argument("--log", help="path of the file into which the client writes this process's stderr")
    parser.add_argument("--device", default="auto", help="device to test for hello (auto, cpu, cuda, cuda:1)")
    parser.add_argument("--warm", metavar="BUNDLE", help="bundle to load after hello, before a job asks for it")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="[%(asctime)s %(levelname)s] %(message)s")
    faulthandler.enable()
    return Server(channel, options.device, options.warm, options.log).run()


if __name__ == "__main__":
    sys.exit(main())
