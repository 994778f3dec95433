"""The messages of version 1 about re-prompting; a worker takes them if its hello lists them under `REQUESTS_KEY`.

Standard library alone, as `protocol`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .checks import check, is_count, is_job, is_name, is_number, is_number_table

REQUESTS_KEY = "requests"
"""In the `versions` of a hello: the types of the messages that the worker takes, parted by blanks.

A worker without it is older and takes `segment` and `shutdown`. It would answer any other type with an error.
"""


class NotWantedError(Exception):
    """Raised within a re-prompt to end it: the client has sent `forget`."""


_JOB = "1 to 64 letters, digits, '_' and '-'"
_NAME = "a text that is not empty"


@dataclass(frozen=True)
class RepromptOptions:
    """How a region is to be asked about again.

    Attributes
    ----------
    device : auto, cpu, cuda, cuda:1.
    margin_mm : how far around the region a labeling may change something, along every index axis.
    most : labelings at most.
    """

    device: str = "auto"
    margin_mm: float = 0.0
    most: int = 2

    def __post_init__(self) -> None:
        check(self, "device", is_name, _NAME)
        check(self, "margin_mm", is_number, "a finite number of 0 or more")
        check(self, "most", lambda v: is_count(v) and v > 0, "a whole number of 1 or more")


@dataclass(frozen=True)
class Reprompt:
    """Client to worker: ask the network of a case again about one region.

    Attributes
    ----------
    job : id chosen by the client. case : absolute path of the case folder.
    bundle : id of an installed bundle or absolute path of a bundle folder; the one that the case was made with.
    structure : id of the region's structure.
    region : absolute path of the file with its voxels, see `reprompt_files`.
    answer : absolute path of the file to write, in a folder that is there.
    options : see `RepromptOptions`.
    """

    job: str
    case: str
    bundle: str
    structure: str
    region: str
    answer: str
    options: RepromptOptions = RepromptOptions()

    def __post_init__(self) -> None:
        check(self, "job", is_job, _JOB)
        for name in ("case", "bundle", "structure", "region", "answer"):
            check(self, name, is_name, _NAME)
        check(self, "options", lambda value: isinstance(value, RepromptOptions), "an object")


@dataclass(frozen=True)
class Forget:
    """Client to worker: nobody wants the answer to a `reprompt` any more; it has none then, if it had none before."""

    job: str

    def __post_init__(self) -> None:
        check(self, "job", is_job, _JOB)


@dataclass(frozen=True)
class Alternatives:
    """Worker to client: the whole file with `count` labelings, perhaps none, lies at `file`, the request's `answer`."""

    job: str
    file: str
    count: int
    timings: Mapping[str, float]

    def __post_init__(self) -> None:
        check(self, "job", is_job, _JOB)
        check(self, "file", is_name, _NAME)
        check(self, "count", is_count, "a whole number of 0 or more")
        check(self, "timings", is_number_table, "an object of finite numbers of 0 or more")
