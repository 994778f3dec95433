"""`deferredseg train`: from a configuration to a bundle with a model card."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import BadInputError
from .console import output, progress_bar, remarks

if TYPE_CHECKING:
    from ..engine.training.run import Trained

TRAINING_PACKAGES = ("pydantic", "yaml", "tensorboard", "torch")


def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.yaml", help="What to train; see docs/training.md.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="The bundle to write, instead of the file's `output`."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda", help="Where to train, instead of what the file says.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Train from the beginning, also if there is a checkpoint.")
    ] = False,
) -> None:
    """Train a bundle. Interrupted, the same command goes on where it was; torchrun trains on several GPUs."""
    trained = run(config, out, device, restart)
    if trained.wrote:
        print_trained(trained)


def run(config: Path, out: Path | None = None, device: str | None = None, restart: bool = False) -> Trained:
    """Read the configuration and train, with a progress bar in the first process."""
    try:
        from ..engine.progress import Progress
        from ..engine.training.config_file import read_config
        from ..engine.training.run import run_training
    except ModuleNotFoundError as error:
        if error.name not in TRAINING_PACKAGES:
            raise
        raise BadInputError(
            f'training needs the package "{error.name}"; install with pip install "deferred-seg-slicer[engine,train]"'
        ) from error
    settings = read_config(config)
    if out is not None:
        settings = settings.to(out)
    if device is not None:
        settings = settings.on(device)
    if os.environ.get("RANK", "0") != "0":
        return run_training(settings, restart=restart)
    with progress_bar() as show:
        return run_training(
            settings,
            lambda stage, done, total, left: show(Progress(stage, done, total, left)),
            lambda sentence: remarks().print(sentence, markup=False, soft_wrap=True),
            restart,
        )


def print_trained(trained: Trained) -> None:
    """Where the bundle is and how good it was on the validation split."""
    record = trained.record
    early = ", stopped early" if record.stopped_early else ""
    console = output()
    console.print(f'wrote bundle "{trained.folder}"', markup=False, soft_wrap=True)
    console.print(
        f"best of {record.epochs} epochs{early}: epoch {record.best_epoch}, score {record.validation.score:.4f}",
        markup=False,
    )
    for name, value in record.validation.figures.items():
        console.print(f"  {name:<24} {value:.4f}", markup=False)
