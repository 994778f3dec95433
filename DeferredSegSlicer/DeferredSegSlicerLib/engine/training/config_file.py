"""Reading a training configuration from YAML, with the line of everything that is wrong in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ...core.errors import BadInputError
from .config import TrainingConfig

LARGEST_FILE = 200_000
"""Bytes; a larger configuration is refused unread."""
DEEPEST = 20
"""Blocks in blocks; YAML's reader would fall over its own feet on thousands."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which also takes 1e-3 for a number, as everybody but YAML 1.1 does."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_config(path: str | Path) -> TrainingConfig:
    """The checked configuration in a YAML file. Relative paths in it count from the folder the command runs in.

    Raises
    ------
    BadInputError : the file is missing, too large or no YAML; a key is unknown, missing or given twice; a value has
        the wrong type; a data folder does not exist. The sentence names the file, the line and the key.
    """
    source = Path(path).expanduser()
    text = _read_text(source)
    try:
        tree = _composed(text, source)
        content = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise BadInputError(f'configuration "{source}"{where} is no YAML: {problem}') from error
    if not isinstance(content, dict):
        raise BadInputError(f'configuration "{source}" holds no keys, expected task, output, data and so on')
    try:
        config = TrainingConfig.model_validate(content)
    except ValidationError as error:
        raise BadInputError(_sentence(error, tree, source)) from error
    for number, data in enumerate(config.data):
        if not data.folder.is_dir():
            line = _line(tree, ("data", number, "folder"))
            raise BadInputError(f'configuration "{source}", line {line}: data folder "{data.folder}" does not exist')
    return config


def explain(error: ValidationError) -> str:
    """The first thing that is wrong in a block, as in: "depth" is 'x': should be a valid integer."""
    first = error.errors()[0]
    return f'"{_dotted(first["loc"])}" {_complaint(first)}' if first["loc"] else f"a block {_complaint(first)}"


def _read_text(source: Path) -> str:
    try:
        if source.stat().st_size > LARGEST_FILE:
            raise BadInputError(f'configuration "{source}" is larger than {LARGEST_FILE} bytes')
        return source.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BadInputError(f'configuration "{source}" does not exist') from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f'configuration "{source}" cannot be read: {error}') from error


def _composed(text: str, source: Path) -> yaml.Node | None:
    """The tree with line numbers; refuses aliases, which can make a short file endless, and keys given twice."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise BadInputError(f'configuration "{source}", line {event.start_mark.line + 1}: nested too deeply')
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1
            raise BadInputError(f'configuration "{source}", line {line}: aliases (*) are not supported, write it out')
    tree: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise BadInputError(f'configuration "{source}", line {key.start_mark.line + 1}: a key is no word')
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise BadInputError(f'configuration "{source}", line {line}: key "{key.value}" is given twice')
                seen.add(key.value)
                waiting.append(value)
    return tree


def _sentence(error: ValidationError, tree: yaml.Node | None, source: Path) -> str:
    wrong = error.errors()
    first = wrong[0]
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    where = tuple(part for part in first["loc"] if part not in ("consistent", "released"))  # tags of the loss block
    line = f", line {_line(tree, where)}" if where else ""
    return f'configuration "{source}"{line}: "{_dotted(where)}" {_complaint(first)}{more}'


def _complaint(wrong: Any) -> str:
    if wrong["type"] == "extra_forbidden":
        return "is an unknown key"
    if wrong["type"] == "missing":
        return "is missing"
    reason = str(wrong["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    reason = reason[:1].lower() + reason[1:]
    return f"is {wrong['input']!r}: {reason}"


def _dotted(parts: Sequence[str | int]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _line(tree: yaml.Node | None, where: Sequence[str | int]) -> int:
    """Line, from 1, of the deepest part of a path that the file has."""
    node, line = tree, 1
    for part in where:
        found: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == part:
                    found, line = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
            line = found.start_mark.line + 1
        if found is None:
            return line
        node = found
    return line
