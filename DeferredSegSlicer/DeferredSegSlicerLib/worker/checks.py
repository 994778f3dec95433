"""What a field of a message may be. Each check takes any value that JSON can bring."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any


class ProtocolError(ValueError):
    """A line or a message that is not part of version 1; the text names the field and what was expected."""


def check(message: object, name: str, accepts: Callable[[Any], bool], expected: str) -> None:
    """Raise ProtocolError, naming the field of the message, unless its value is accepted."""
    value = getattr(message, name)
    if not accepts(value):
        kind = type(message).__name__.lower()
        raise ProtocolError(f'field "{name}" of "{kind}" is {value!r:.80}, expected {expected}')


def is_flag(value: Any) -> bool:
    """True or false."""
    return isinstance(value, bool)


def is_text(value: Any) -> bool:
    """Any text."""
    return isinstance(value, str)


def is_name(value: Any) -> bool:
    """A text that is not blank and could be a path."""
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value


def is_job(value: Any) -> bool:
    """A job id: it becomes part of a folder's name."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value) is not None


def is_count(value: Any) -> bool:
    """A whole number of 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_finite(value: Any) -> bool:
    """A number that is neither infinite nor NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_number(value: Any) -> bool:
    """A finite number of 0 or more."""
    return is_finite(value) and value >= 0


def is_window(value: Any) -> bool:
    """None, or level and width."""
    return value is None or (isinstance(value, tuple | list) and len(value) == 2 and all(map(is_finite, value)))


def is_text_list(value: Any) -> bool:
    """A list of texts."""
    return isinstance(value, tuple | list) and all(map(is_text, value))


def is_text_table(value: Any) -> bool:
    """Texts by name."""
    return isinstance(value, Mapping) and all(is_text(k) and is_text(v) for k, v in value.items())


def is_number_table(value: Any) -> bool:
    """Finite numbers of 0 or more by name."""
    return isinstance(value, Mapping) and all(is_text(k) and is_number(v) for k, v in value.items())
