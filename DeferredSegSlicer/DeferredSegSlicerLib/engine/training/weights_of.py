"""Which tensors of a model a training changes: the trained parameters and the persistent buffers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from ...core.errors import BadInputError


def changing_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """The live tensors by name: `state_dict` less the parameters that are frozen."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: tensor for name, tensor in model.state_dict().items() if name not in frozen}


@torch.no_grad()
def load_into(live: Mapping[str, torch.Tensor], stored: Mapping[str, torch.Tensor]) -> None:
    """Copy stored tensors into live ones, in place; BadInputError unless names and shapes are the same."""
    for name in (*live, *stored):
        if name not in live or name not in stored or live[name].shape != stored[name].shape:
            raise BadInputError(f'tensor "{name}" of the checkpoint does not fit the model; use --restart')
    for name, tensor in live.items():
        tensor.copy_(stored[name])


def copies(live: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies in main memory, to be stored."""
    return {name: tensor.detach().cpu().clone() for name, tensor in live.items()}
