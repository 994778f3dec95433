"""Several processes that train one model: started by torchrun, gloo between CPUs, nccl between GPUs.

The unit is a group: the items of one optimizer step over all processes together. A group's gradient is the mean over
its items, whoever computed them, so that the number of processes changes the speed and not the result. In a group
that does not come out even (the end of an epoch) a process without an item takes one that is already there with
weight 0: it stays in step, and every item counts once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from ...core.errors import BadInputError, DeviceError
from ..devices import resolve_device

PATIENCE = timedelta(hours=24)
"""How long processes wait for the first one, which validates alone. torchrun ends them if it dies."""


@dataclass(frozen=True)
class Team:
    """This process among those that train together. device : "cpu" or "cuda:N", tested."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that validates, writes and speaks."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all the others have come here too."""
        if self.size > 1:
            distributed.all_reduce(torch.zeros(1))  # on the CPU: a barrier would take a GPU

    def told(self, value: Any) -> Any:
        """The first process's value, in every process. Plain values only."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def largest(self, *values: float) -> list[float]:
        """The largest of each value over all processes."""
        numbers = torch.tensor(values, dtype=torch.float64)
        if self.size > 1:
            distributed.all_reduce(numbers, op=distributed.ReduceOp.MAX)
        return [float(number) for number in numbers]

    def total(self, *values: float) -> list[float]:
        """The sum of each value over all processes."""
        numbers = torch.tensor(values, dtype=torch.float64)
        if self.size > 1:
            distributed.all_reduce(numbers)
        return [float(number) for number in numbers]


@contextmanager
def join_team(device: str) -> Iterator[Team]:
    """The team that torchrun's environment describes, or a team of one. `device`: auto, cpu, cuda or cuda:N.

    Raises
    ------
    BadInputError : the environment is not torchrun's; "cuda:N" for several processes.
    DeviceError : the GPU is missing or does not compute, or there are more processes than GPUs.
    """
    try:
        size = int(os.environ.get("WORLD_SIZE", "1"))
        rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    except ValueError as error:
        raise BadInputError("WORLD_SIZE, RANK and LOCAL_RANK are not numbers; start with torchrun, or unset") from error
    if size <= 1:
        yield Team(0, 1, resolve_device(device))
        return
    resolved = _device_of(device, local)
    backend = "cpu:gloo,cuda:nccl" if resolved.type == "cuda" else "gloo"
    if resolved.type == "cuda":
        torch.cuda.set_device(resolved)
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Team(rank, size, resolved)
    finally:
        distributed.destroy_process_group()


def _device_of(name: str, local: int) -> torch.device:
    """The device of one of several processes: its own GPU, or the CPU."""
    wanted = name.strip().lower()
    if wanted.startswith("cuda:"):
        raise BadInputError(f'device "{name}" is one GPU, but there are several processes; use --device cuda')
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return resolve_device("cpu")
    if wanted in ("auto", "cuda") and local >= torch.cuda.device_count() > 0:
        raise DeviceError(
            f"there are more processes than the {torch.cuda.device_count()} GPU(s) of this machine; "
            f"lower torchrun's --nproc_per_node, or use --device cpu"
        )
    return resolve_device(f"cuda:{local}" if wanted == "auto" else f"{wanted}:{local}")


@dataclass(frozen=True)
class Share:
    """One item for this process. index : in the epoch's work list. weight : of its gradient, 0 for a filler."""

    index: int
    weight: float


def group_size(accumulate: int, processes: int) -> int:
    """Items an optimizer step: `accumulate`, rounded up to a multiple of the processes."""
    return -(-accumulate // processes) * processes


def shares(items: int, group: int, rank: int, size: int) -> list[list[Share]]:
    """For each group of an epoch, what this process computes; in all processes together every item once.

    Weights are 1 / (items in the group); the process's gradients are to be added up over the processes.
    """
    plan = []
    for start in range(0, items, group):
        members = range(start, min(start + group, items))
        mine = list(members[rank::size])
        padding = -(-len(members) // size) - len(mine)
        plan.append([Share(index, 1 / len(members)) for index in mine] + [Share(start, 0.0)] * padding)
    return plan
