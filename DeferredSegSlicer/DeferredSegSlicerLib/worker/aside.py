"""The re-prompt that a client has asked for: aside of its job, at most one, and dropped at any time without harm."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from .callbacks import Callbacks
from .child import Child
from .protocol import Error, Hello, Message
from .reprompt_messages import REQUESTS_KEY, Alternatives, Forget, Reprompt

NAME = "reprompt"


def offers_reprompt(hello: Hello) -> bool:
    """Whether a worker takes re-prompts, by what it said of itself."""
    return NAME in hello.versions.get(REQUESTS_KEY, "").split()


class Aside:
    """A request that waits for the worker's hello, then for its answer.

    Parameters
    ----------
    callbacks : whom to tell. log_path : the worker's log file.
    """

    def __init__(self, callbacks: Callbacks, log_path: Callable[[], str | None]) -> None:
        self._callbacks = callbacks
        self._log_path = log_path
        self._request: Reprompt | None = None
        self._sent = False

    @property
    def job(self) -> str | None:
        """Id of the request, or None."""
        return self._request.job if self._request else None

    def ask(self, request: Reprompt) -> None:
        """Have a request, which `send` sends."""
        self._request, self._sent = request, False

    def send(self, hello: Hello | None, child: Child | None) -> None:
        """Send the request if it was not and the worker is ready; one that takes none is told of."""
        if self._request is None or self._sent or hello is None or child is None:
            return
        if offers_reprompt(hello):
            child.send(self._request)
            self._sent = True
            return
        sentence = "The worker is of an older version, which cannot be asked again about a region."
        advice = "Let Set-up install the current version in the worker's interpreter."
        self.drop(Error(self.job, "not_offered", sentence, advice, self._log_path()))

    def forget(self, child: Child | None) -> None:
        """Nobody wants the answer any more."""
        request, self._request = self._request, None
        if request is not None and self._sent and child is not None:
            child.send(Forget(request.job))

    def give_way(self, child: Child | None, to: str) -> None:
        """Drop the request for something that comes first, and tell so."""
        job = self.job
        if self._sent and job is not None and child is not None:
            child.send(Forget(job))
        self.drop(Error(job, "dropped", f"The question about the region was dropped: {to}.", "", self._log_path()))

    def drop(self, error: Error) -> None:
        """There will be no answer; tell why, if there is a request."""
        request, self._request = self._request, None
        if request is not None:
            self._callbacks.no_alternatives(replace(error, job=request.job))

    def take(self, message: Message) -> bool:
        """Take the answer; False if the message is none to this request."""
        request = self._request
        if request is None or not isinstance(message, Alternatives | Error) or message.job != request.job:
            return False
        if isinstance(message, Error):
            self.drop(message)
        elif os.path.normcase(message.file) != os.path.normcase(request.answer):
            sentence = f'The worker answered with the file "{message.file}", expected "{request.answer}".'
            self.drop(Error(request.job, "internal", sentence, "Report it with the log file.", self._log_path()))
        else:
            self._request = None
            self._callbacks.alternatives(message)
        return True
