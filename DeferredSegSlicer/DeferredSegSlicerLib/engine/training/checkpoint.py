"""Everything that a training needs to go on as if it had never been interrupted, in one file, written atomically."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from ...core.atomic import write_bytes
from ...core.errors import BadInputError
from .config import TrainingConfig

SCHEMA = 1
FREE_KEYS = ("output", "training.device", "training.checkpoint_minutes", "training.log_every", "training.patience")
"""Keys that may change between two sessions of one training: they do not enter the weights of a step."""


@dataclass
class Checkpoint:
    """The state after an optimizer step, all tensors in main memory.

    Attributes
    ----------
    config : fingerprint, see `fingerprint`. epoch : from 0, the one under way. step : optimizer steps done in it.
    steps : optimizer steps done in all. items : items of an optimizer step, over all processes.
    weights : trained parameters and buffers. optimizer, scaler : their state dicts. average : of the weights, with
        averages on. best : {"score", "epoch", "figures", "weights"} of the best validation, or None.
    worse : validations since then. sums : of the epoch under way, by term, over the items "items".
    history : one row an epoch. seconds : of computing so far. random : states of the generators.
    finished : nothing is left but the export.
    """

    config: str
    epoch: int = 0
    step: int = 0
    steps: int = 0
    items: int = 1
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    average: dict[str, torch.Tensor] | None = None
    updates: int = 0
    best: dict[str, Any] | None = None
    worse: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    random: dict[str, Any] = field(default_factory=dict)
    finished: bool = False
    stopped_early: bool = False


def fingerprint(config: TrainingConfig) -> str:
    """The configuration as canonical JSON, without what may change between sessions."""
    flat = _flat(config.model_dump(mode="json"))
    return json.dumps({key: value for key, value in sorted(flat.items()) if key not in FREE_KEYS})


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; if that fails, the one that was there stays. BadInputError if the disk is full."""
    content = {part.name: getattr(checkpoint, part.name) for part in fields(checkpoint)}
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA, **content}, buffer)
    write_bytes(path, buffer.getvalue())


def read_checkpoint(path: Path, config: TrainingConfig) -> Checkpoint | None:
    """The checkpoint of this training, None if there is none yet. No code in the file is run.

    Raises
    ------
    BadInputError : the file is damaged, or belongs to another configuration; the sentence names what differs.
    """
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA:
            raise ValueError(f"it does not have schema {SCHEMA}")
        found = Checkpoint(**content)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInputError(
            f'checkpoint "{path}" cannot be used ({reason}); use --restart to train from the beginning'
        ) from error
    if found.config != fingerprint(config):
        differences = _differences(json.loads(found.config), json.loads(fingerprint(config)))
        raise BadInputError(
            f'checkpoint "{path}" belongs to another configuration ({differences}); '
            f"put that back, give another output, or use --restart to train from the beginning"
        )
    return found


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys; lists of mappings by number."""
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        value = {f"[{number}]": part for number, part in enumerate(value)}
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, part in value.items():
        joined = f"{prefix}{key}" if str(key).startswith("[") else f"{prefix}.{key}" if prefix else str(key)
        flat.update(_flat(part, joined))
    return flat


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    keys = [key for key in sorted({*then, *now}) if then.get(key) != now.get(key)]
    told = [f"{key} was {json.dumps(then.get(key))}, is {json.dumps(now.get(key))}" for key in keys[:3]]
    return "; ".join(told) + (f"; and {len(keys) - 3} more" if len(keys) > 3 else "")
