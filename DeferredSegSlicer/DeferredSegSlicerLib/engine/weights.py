"""Reading weights without running code, and loading them so that nothing is missing and nothing is left over."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file
from torch import nn

from ..core.errors import BadInputError


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a .safetensors file, or of a .pth/.pt file (`weights_only=True`: no pickled code is run).

    A checkpoint may be a plain state dict or hold it under "model" or "state_dict"; the prefix "module." that
    multi-GPU training leaves is taken off. BadInputError if the file is missing, damaged or holds anything else.
    """
    if not path.is_file():
        raise BadInputError(f'weights file "{path}" does not exist')
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadInputError(f'weights file "{path}" is no plain checkpoint of tensors and was not loaded') from error
    except (safetensors.SafetensorError, RuntimeError, ValueError, EOFError, OSError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInputError(f'weights file "{path}" cannot be read: {reason}') from error
    for key in ("model", "state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if (
        not isinstance(loaded, dict)
        or not loaded
        or not all(isinstance(part, torch.Tensor) for part in loaded.values())
    ):
        raise BadInputError(f'weights file "{path}" holds no state dict, expected names with tensors')
    return {str(name).removeprefix("module."): tensor for name, tensor in loaded.items()}


def load_strictly(network: nn.Module, tensors: Mapping[str, torch.Tensor], source: str) -> None:
    """Copy `tensors` into `network`; BadInputError naming the first missing, extra or misshapen tensor.

    The sentence says how many of the network's tensors were matched. Nothing is copied unless everything matches.
    """
    own = network.state_dict()
    fitting = [name for name in own if name in tensors and tensors[name].shape == own[name].shape]
    matched = f"{len(fitting)} of {len(own)} tensors match"
    missing = [name for name in own if name not in tensors]
    if missing:
        raise BadInputError(f'weights "{source}" lack tensor "{missing[0]}"{_more(missing)}; {matched}')
    extra = [name for name in tensors if name not in own]
    if extra:
        raise BadInputError(f'weights "{source}" have an unexpected tensor "{extra[0]}"{_more(extra)}; {matched}')
    for name in own:
        if tensors[name].shape != own[name].shape:
            raise BadInputError(
                f'tensor "{name}" in weights "{source}" has shape {tuple(tensors[name].shape)}, '
                f"expected {tuple(own[name].shape)}; {matched}"
            )
    network.load_state_dict(dict(tensors), strict=True)


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
