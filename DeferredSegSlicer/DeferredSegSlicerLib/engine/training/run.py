"""From a configuration to a bundle: one whole training, alone or in a team of processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ...core.errors import BadInputError
from ..bundle_writer import check_bundle_target
from .checkpoint import read_checkpoint
from .config import TrainingConfig
from .config_file import explain
from .distributed import Team, join_team
from .loop import START, Loop, ignore, say_nothing
from .places import TrainingPlaces
from .randomness import seed_everything
from .reporting import PreparationClock, Watcher
from .task import Task, TrainingRecord
from .tasks import make_task

TaskMaker = Callable[[TrainingConfig], Task]


@dataclass(frozen=True)
class Trained:
    """What came out: the bundle's folder and how it was trained. wrote : False in the processes but the first."""

    folder: Path
    record: TrainingRecord
    wrote: bool = True


def run_training(
    config: TrainingConfig,
    watcher: Watcher | None = None,
    remark: Callable[[str], None] | None = None,
    restart: bool = False,
    task_maker: TaskMaker = make_task,
) -> Trained:
    """Train what a configuration says, from its checkpoint if there is one, and write the bundle.

    Parameters
    ----------
    watcher : told about the progress. remark : told sentences for the user. Both in the first process alone.
    restart : forget an earlier checkpoint. task_maker : `tasks.make_task`, or another source of tasks.

    Raises
    ------
    BadInputError : the output is no place for a bundle, the checkpoint is of another configuration, the loss is not
        finite, the disk is full, a key of the task's own blocks is wrong, or what the task says.
    TrainingStopped : SIGINT or SIGTERM; a checkpoint was written.
    """
    check_bundle_target(config.output)
    with join_team(config.training.device) as team:
        places = TrainingPlaces(config.output)
        if team.first:
            places.make()
            if restart:
                places.forget()
        team.wait()
        kept = read_checkpoint(places.checkpoint, config)
        used = config.on(str(team.device))
        seed_everything(used.seed, START)
        try:
            task = task_maker(used)
        except ValidationError as error:  # of the blocks that a task checks itself
            raise BadInputError(f'configuration of task "{used.task}": {explain(error)}') from error
        task.model.to(team.device)
        watch, say = (watcher or ignore, remark or say_nothing) if team.first else (ignore, say_nothing)
        _prepare(task, team, PreparationClock(watch))
        record = Loop(used, task, team, places, watch, say).run(kept)
        return Trained(config.output, record, wrote=team.first)


def _prepare(task: Task, team: Team, report: PreparationClock) -> None:
    """The first process fills the caches, the others then find them."""
    for turn in (True, False):
        if team.first == turn:
            task.prepare(report)
        team.wait()
