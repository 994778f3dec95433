"""Version 1 of the worker protocol: one JSON object a line, UTF-8, strict in both directions.

Standard library alone, so that it loads in any interpreter. `docs/worker_protocol.md` describes it for other programs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NoReturn

from .checks import (
    ProtocolError,
    check,
    is_count,
    is_flag,
    is_job,
    is_name,
    is_number,
    is_number_table,
    is_text,
    is_text_list,
    is_text_table,
    is_window,
)
from .lines import MAX_LINE_BYTES
from .reprompt_messages import Alternatives, Forget, Reprompt, RepromptOptions

PROTOCOL_VERSION = 1

WORKER_CODES = (
    "bad_input",
    "device",
    "out_of_memory",
    "damaged_case",
    "missing_packages",
    "protocol",
    "internal",
)
"""What `Error.code` may be when the worker sends it."""

CLIENT_CODES = ("not_started", "died", "hung", "not_offered", "dropped")
"""Further codes that the client gives to its own user when the worker can no longer speak."""


class NotAMessageError(ProtocolError):
    """A line that does not claim to be a message at all: a library's print that found its way into the channel."""


@dataclass(frozen=True)
class SelfTest:
    """What the small real convolution on the device gave: passed or not, a sentence, and how long it took (s)."""

    passed: bool
    message: str
    seconds: float

    def __post_init__(self) -> None:
        check(self, "passed", is_flag, "true or false")
        check(self, "message", is_text, "a text")
        check(self, "seconds", is_number, "a finite number of 0 or more")


@dataclass(frozen=True)
class Options:
    """How a volume is to be segmented; the meaning of each is that of `engine.pipeline.SegmentOptions`.

    Attributes
    ----------
    method : deferral method (auto, learned, margin, entropy, tta); auto is the best that the bundle can do.
    device : auto, cpu, cuda, cuda:1, mps.
    window : gray-value window (level, width), or None for the default of the modality.
    view : auto, slice or crop.
    modality : CT, MR or other; None to guess it from the file, which knows less than the scanner's own header.
    overwrite : replace a case that is there; without it an existing folder is refused.
    """

    method: str = "auto"
    device: str = "auto"
    window: tuple[float, float] | None = None
    view: str = "auto"
    modality: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in ("method", "device", "view"):
            check(self, name, is_name, "a text that is not empty")
        check(self, "window", is_window, "null or two finite numbers, level and width")
        check(self, "modality", lambda v: v is None or is_name(v), "null or a text that is not empty")
        check(self, "overwrite", is_flag, "true or false")
        if self.window is not None:
            object.__setattr__(self, "window", tuple(float(v) for v in self.window))


@dataclass(frozen=True)
class Hello:
    """Worker to client, once, when it is ready: software versions, device, self-test and process id."""

    versions: Mapping[str, str]
    device: str
    self_test: SelfTest
    pid: int

    def __post_init__(self) -> None:
        check(self, "versions", is_text_table, "an object of texts")
        check(self, "device", is_name, "a text that is not empty")
        check(self, "self_test", lambda value: isinstance(value, SelfTest), "an object")
        check(self, "pid", is_count, "a whole number of 0 or more")


@dataclass(frozen=True)
class Segment:
    """Client to worker: segment one volume into one case folder.

    Attributes
    ----------
    job : id chosen by the client, 1 to 64 letters, digits, `_` and `-`; every answer carries it.
    image, prompts, experts : absolute paths of the volume, of prompts.json and of the expert profiles.
    case : absolute path of the case folder to make.
    bundle : id of an installed bundle or absolute path of a bundle folder.
    options : see `Options`.
    """

    job: str
    image: str
    prompts: str
    experts: str
    case: str
    bundle: str
    options: Options = Options()

    def __post_init__(self) -> None:
        check(self, "job", is_job, "1 to 64 letters, digits, '_' and '-'")
        for name in ("image", "prompts", "experts", "case", "bundle"):
            check(self, name, is_name, "a text that is not empty")
        check(self, "options", lambda value: isinstance(value, Options), "an object")


@dataclass(frozen=True)
class Progress:
    """Worker to client: how far a job is. At most about ten a second; seconds_left is None while not known."""

    job: str
    stage: str
    done: int
    total: int
    seconds_left: float | None

    def __post_init__(self) -> None:
        check(self, "job", is_job, "1 to 64 letters, digits, '_' and '-'")
        check(self, "stage", is_name, "a text that is not empty")
        check(self, "done", is_count, "a whole number of 0 or more")
        check(self, "total", is_count, "a whole number of 0 or more")
        check(self, "seconds_left", lambda v: v is None or is_number(v), "null or a finite number of 0 or more")


@dataclass(frozen=True)
class Result:
    """Worker to client: the job is done and the whole case lies at `case`; timings in seconds per stage."""

    job: str
    case: str
    timings: Mapping[str, float]

    def __post_init__(self) -> None:
        check(self, "job", is_job, "1 to 64 letters, digits, '_' and '-'")
        check(self, "case", is_name, "a text that is not empty")
        check(self, "timings", is_number_table, "an object of finite numbers of 0 or more")


@dataclass(frozen=True)
class Error:
    """Something failed; `message` and `advice` are for the user's eyes, one sentence or two each.

    Attributes
    ----------
    job : the job that failed, or None if the worker as a whole did.
    code : one of WORKER_CODES (from the worker) or CLIENT_CODES (made by the client).
    message : what happened. Never a traceback.
    advice : what the user can do; may be empty.
    log : path of the log file that has the details, or None.
    packages : for missing_packages, the names that the interpreter lacks.
    """

    job: str | None
    code: str
    message: str
    advice: str = ""
    log: str | None = None
    packages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check(self, "job", lambda v: v is None or is_job(v), "null or 1 to 64 letters, digits, '_' and '-'")
        check(self, "code", lambda v: v in WORKER_CODES + CLIENT_CODES, "one of the documented codes")
        check(self, "message", is_name, "a text that is not empty")
        check(self, "advice", is_text, "a text")
        check(self, "log", lambda v: v is None or is_text(v), "null or a text")
        check(self, "packages", is_text_list, "a list of texts")
        object.__setattr__(self, "packages", tuple(self.packages))


@dataclass(frozen=True)
class Heartbeat:
    """Worker to client, every second from a thread of its own.

    `job` is the running job or None; `quiet_seconds` is how long that job has made no progress.
    """

    job: str | None
    quiet_seconds: float

    def __post_init__(self) -> None:
        check(self, "job", lambda v: v is None or is_job(v), "null or 1 to 64 letters, digits, '_' and '-'")
        check(self, "quiet_seconds", is_number, "a finite number of 0 or more")


@dataclass(frozen=True)
class Shutdown:
    """Client to worker: leave now; a running job is thrown away."""


Message = Hello | Segment | Progress | Result | Error | Heartbeat | Shutdown | Reprompt | Forget | Alternatives

_TYPES: Mapping[str, type[Any]] = {
    "hello": Hello,
    "segment": Segment,
    "progress": Progress,
    "result": Result,
    "error": Error,
    "heartbeat": Heartbeat,
    "shutdown": Shutdown,
    "reprompt": Reprompt,
    "forget": Forget,
    "alternatives": Alternatives,
}
_NESTED: Mapping[str, Mapping[str, type[Any]]] = {
    "hello": {"self_test": SelfTest},
    "segment": {"options": Options},
    "reprompt": {"options": RepromptOptions},
}

REQUESTS = ("forget", "reprompt", "segment", "shutdown")
"""Types that a worker of this version takes; its hello lists them."""


def encode(message: Message) -> bytes:
    """One line, line end included.

    Everything outside ASCII is escaped, so that file names that are not valid UTF-8 travel too.
    Raises ProtocolError if the line would be longer than MAX_LINE_BYTES.
    """
    kind = next(name for name, cls in _TYPES.items() if type(message) is cls)
    content = {"protocol": PROTOCOL_VERSION, "type": kind, **asdict(message)}
    line = json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise ProtocolError(f'a "{kind}" message of {len(line)} bytes is over the limit of {MAX_LINE_BYTES} bytes')
    return line


def decode(line: bytes) -> Message:
    """The message of one line.

    Raises
    ------
    NotAMessageError : not UTF-8, not a JSON object, or without the field "protocol".
    ProtocolError : another protocol version, an unknown type, or a missing, unknown, repeated or ill-typed field.
    """
    if len(line) > MAX_LINE_BYTES:
        raise NotAMessageError(f"a line of {len(line)} bytes is over the limit of {MAX_LINE_BYTES} bytes")
    try:
        content = json.loads(line.decode("utf-8"), object_pairs_hook=_Pairs, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise NotAMessageError(f"a line is not JSON in UTF-8: {error}") from error
    if not isinstance(content, _Pairs) or "protocol" not in content.names:
        raise NotAMessageError('a line is not a JSON object with the field "protocol"')
    values = content.to_dict()
    version, kind = values.pop("protocol"), values.pop("type", None)
    if version != PROTOCOL_VERSION or isinstance(version, bool):
        raise ProtocolError(f"the message speaks protocol {version!r:.40}, this program speaks {PROTOCOL_VERSION}")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ProtocolError(f"message type {kind!r:.60} is not known, expected one of {', '.join(_TYPES)}")
    for name, inner in _NESTED.get(kind, {}).items():
        if isinstance(values.get(name), dict):
            values[name] = _build(inner, values[name], f'"{name}" of a "{kind}" message')
    message: Message = _build(_TYPES[kind], values, f'a "{kind}" message')
    return message


class _Pairs:
    """A JSON object whose field names were checked to be different."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self._pairs = pairs
        self.names = {name for name, _ in pairs}

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionaries; raises ProtocolError for a field given twice."""
        if len(self.names) != len(self._pairs):
            twice = next(n for n in self.names if sum(n == m for m, _ in self._pairs) > 1)
            raise ProtocolError(f'field "{twice:.60}" is given twice')
        return {name: value.to_dict() if isinstance(value, _Pairs) else value for name, value in self._pairs}


def _build(cls: type[Any], values: dict[str, Any], where: str) -> Any:
    expected = {field.name for field in fields(cls)}
    missing, unknown = sorted(expected - values.keys()), sorted(values.keys() - expected)
    if missing:
        raise ProtocolError(f'{where} lacks the field "{missing[0]}"')
    if unknown:
        raise ProtocolError(f'{where} has an unknown field "{unknown[0]:.60}"')
    return cls(**values)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")
