"""The training loop: epochs of optimizer steps, validation, checkpoints, and the export of the best epoch's weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from ...core.errors import BadInputError
from ..versions import software_versions
from .checkpoint import Checkpoint, fingerprint, write_checkpoint
from .config import TrainingConfig
from .distributed import Share, Team, group_size, shares
from .ema import AveragedWeights
from .logbook import Logbook
from .places import TrainingPlaces
from .randomness import random_states, restore_random_states, seed_everything
from .reporting import LoopClock, Watcher, collapse_warning
from .schedule import rate_factor
from .step import NotFiniteError, StepFigures, Stepper
from .stopping import BestScore, SignalWatch, TrainingStopped, ValidationInterrupted
from .task import Task, TrainingRecord, Validation
from .weights_of import changing_tensors, copies, load_into

ITEM, ORDER, VALIDATION, START = range(4)
"""What a seed is for."""


class Loop:
    """One session of a training; `at` says where it is. watcher, remark : do nothing in the processes but the first."""

    def __init__(
        self,
        config: TrainingConfig,
        task: Task,
        team: Team,
        places: TrainingPlaces,
        watcher: Watcher,
        remark: Callable[[str], None],
    ) -> None:
        self.config, self.task, self.team, self.places = config, task, team, places
        self.watcher, self.remark = watcher, remark
        self.settings = config.training
        self.live = changing_tensors(task.model)
        self.stepper = Stepper(task, self.settings, team)
        ema = self.settings.ema
        self.average = AveragedWeights(self.live, ema) if ema is not None else None
        self.best = BestScore(self.settings.patience)
        self.at = Checkpoint(fingerprint(config), items=group_size(self.settings.accumulate, team.size))
        self.clock = LoopClock()
        self.watch = SignalWatch(stubborn=team.size > 1)
        self.logbook: Logbook | None = None
        self.saved = self.began = time.monotonic()
        self.warned: set[str] = set()

    def run(self, kept: Checkpoint | None) -> TrainingRecord:
        """Train until the last epoch, or until patience runs out, and export."""
        if kept is not None:
            self._go_on_from(kept)
        if self.at.items != self.settings.accumulate:
            self.remark(
                f"{self.at.items} items an optimizer step instead of {self.settings.accumulate}: "
                f"there are {self.team.size} processes"
            )
        if self.team.first:
            self.logbook = Logbook(self.places.logs, self.at.steps)
        try:
            with self.watch:
                while not self.at.finished:
                    self._epoch()
        finally:
            if self.logbook is not None:
                self.logbook.close()
        return self._export()

    def _go_on_from(self, kept: Checkpoint) -> None:
        if kept.items != self.at.items:
            raise BadInputError(
                f'checkpoint "{self.places.checkpoint}" was trained with {kept.items} items an optimizer step, '
                f"with {self.team.size} processes it would be {self.at.items}; use as many processes as before"
            )
        load_into(self.live, kept.weights)
        self.stepper.optimizer.load_state_dict(kept.optimizer)
        if kept.scaler and self.stepper.scaler.is_enabled():
            self.stepper.scaler.load_state_dict(kept.scaler)
        if self.average is not None and kept.average is not None:
            load_into(self.average.average, kept.average)
            self.average.updates = kept.updates
        if kept.best is not None:
            self.best.score = kept.best["score"]
        self.best.worse = kept.worse
        restore_random_states(kept.random)
        self.at = kept
        self.began = time.monotonic() - kept.seconds
        self.remark(f"going on from {self._where()}")

    def _epoch(self) -> None:
        """The rest of the epoch under way, its validation, and a checkpoint."""
        at, seed = self.at, self.config.seed
        seed_everything(seed, ORDER, at.epoch)
        work = self.task.batches(at.epoch)
        plan = shares(len(work), at.items, self.team.rank, self.team.size)
        if not plan:
            raise BadInputError("the training split is empty: there is nothing to train on")
        self.task.model.train()
        while at.step < len(plan):
            began = time.monotonic()
            self._step(work, plan[at.step], len(plan))
            self.clock.did("step", time.monotonic() - began)
            self._show(f"epoch {at.epoch + 1} of {self.settings.epochs}", len(plan))
            self._heed_signals()
            if time.monotonic() - self.saved >= 60 * self.settings.checkpoint_minutes:
                self._save()
        self._end_epoch(len(plan))

    def _step(self, work: Sequence[Any], mine: Sequence[Share], steps: int) -> None:
        at = self.at
        factor = rate_factor(at.epoch + (at.step + 0.5) / steps, self.settings.epochs, self.settings.warmup_epochs)
        items = ((share, work[share.index]) for share in mine)
        try:
            figures = self.stepper.step(
                items, factor, lambda share: seed_everything(self.config.seed, ITEM, at.epoch, share.index)
            )
        except NotFiniteError as error:
            kept = "the last checkpoint is kept" if self.places.checkpoint.is_file() else "there is no checkpoint yet"
            raise BadInputError(
                f"{error.sentence} in epoch {at.epoch + 1}, step {at.step + 1} of {steps}; training stops, {kept}; "
                f"try a lower training.learning_rate or training.amp: off, with --restart"
            ) from error
        at.step += 1
        at.steps += 1
        if self.average is not None:
            self.average.update(self.live)
        self._note(figures, factor, steps)

    def _note(self, figures: StepFigures, factor: float, steps: int) -> None:
        at = self.at
        for name, value in {"loss": figures.loss, **figures.terms}.items():
            at.sums[name] = at.sums.get(name, 0.0) + value
        if self.logbook is not None and (at.steps % self.settings.log_every == 0 or at.step == steps):
            told = {f"train/{name}": value for name, value in figures.terms.items()}
            told |= {"train/loss": figures.loss, "train/gradient_norm": figures.norm}
            told["train/learning_rate"] = factor * self.settings.learning_rate
            self.logbook.write(at.steps, at.epoch + at.step / steps, told)

    def _end_epoch(self, steps: int) -> None:
        """Validate, remember the best weights, decide whether to go on, and write the checkpoint."""
        at = self.at
        row = {name: value / steps for name, value in at.sums.items()}
        last = at.epoch + 1 == self.settings.epochs
        if last or (at.epoch + 1) % self.settings.validate_every == 0:
            answer = self.team.told(self._judge(row, steps) if self.team.first else None)
            if answer is None:
                self._stop()
            at.stopped_early = answer["exhausted"] and not last
        warning = collapse_warning(row)
        if warning is not None and warning.split("routed to")[1] not in self.warned:
            self.warned.add(warning.split("routed to")[1])
            self.remark(warning)
        at.history.append({"epoch": float(at.epoch + 1), **row})
        at.epoch, at.step, at.sums = at.epoch + 1, 0, {}
        at.finished = last or at.stopped_early
        self._save()
        if not at.finished:
            self._heed_signals()

    def _judge(self, row: dict[str, float], steps: int) -> dict[str, Any] | None:
        """Validate in the first process; None if a signal came. Adds the figures to the epoch's row."""
        at = self.at
        if time.monotonic() - self.saved >= 60 * self.settings.checkpoint_minutes:
            self._save()  # a validation may be long, and the power may fail in it
        self._show(f"validation {at.epoch + 1} of {self.settings.epochs}", steps)
        began = time.monotonic()
        try:
            validation, weights = self._validate()
        except ValidationInterrupted:
            return None
        self.clock.did("validation", time.monotonic() - began)
        better = self.best.better(validation.score)
        figures = {name: float(value) for name, value in validation.figures.items()}
        if better:
            at.best = {"score": float(validation.score), "epoch": at.epoch + 1, "figures": figures, "weights": weights}
        at.worse = self.best.worse
        row |= {"score": float(validation.score)} | {f"validation/{name}": value for name, value in figures.items()}
        if self.logbook is not None:
            told = {f"validation/{name}": value for name, value in {"score": validation.score, **figures}.items()}
            self.logbook.write(at.steps, at.epoch + 1.0, told)
        best = f"best {at.best['score']:.4f} in epoch {at.best['epoch']}" if at.best else "no score is a number yet"
        self.remark(
            f"epoch {at.epoch + 1} of {self.settings.epochs}: loss {row['loss']:.4f}, "
            f"score {validation.score:.4f} ({best})"
        )
        return {"exhausted": self.best.exhausted}

    def _validate(self) -> tuple[Validation, dict[str, torch.Tensor]]:
        """Figures of the (averaged) weights, and a copy of these."""
        seed_everything(self.config.seed, VALIDATION, self.at.epoch)
        try:
            with self.average.in_place_of(self.live) if self.average is not None else nullcontext(), torch.no_grad():
                self.task.model.eval()
                with self.watch.interrupting():  # no wider: the weights have to be put back whole
                    validation = self.task.validate()
                return validation, copies(self.live)
        finally:
            self.task.model.train()

    def _heed_signals(self) -> None:
        """If any process was told to stop, write a checkpoint and stop, in all of them."""
        (number,) = self.team.largest(float(self.watch.number))
        if number:
            self.watch.number = int(number)
            self._stop()

    def _stop(self) -> None:
        self._save()
        self.team.wait()
        (number,) = self.team.largest(float(self.watch.number))
        raise TrainingStopped(
            int(number), f"training stopped after {self._where()}; run the same command again to go on"
        )

    def _save(self) -> None:
        """Write the checkpoint, in the first process."""
        self.saved = time.monotonic()
        if not self.team.first:
            return
        at = self.at
        at.weights, at.random = copies(self.live), random_states()
        at.optimizer, at.scaler = self.stepper.optimizer.state_dict(), self.stepper.scaler.state_dict()
        if self.average is not None:
            at.average, at.updates = copies(self.average.average), self.average.updates
        at.seconds = time.monotonic() - self.began
        if self.logbook is not None:
            self.logbook.flush()
        write_checkpoint(self.places.checkpoint, at)

    def _export(self) -> TrainingRecord:
        """Write the bundle from the best epoch's weights, in the first process."""
        at = self.at
        best = self.team.told({k: v for k, v in at.best.items() if k != "weights"} if at.best else None)
        if best is None:
            raise BadInputError("no validation gave a score that is a number; no bundle is written")
        record = TrainingRecord(
            config=self.config,
            epochs=at.epoch,
            best_epoch=best["epoch"],
            validation=Validation(best["score"], best["figures"]),
            seconds=at.seconds,
            processes=self.team.size,
            device=self.team.device.type,
            versions=software_versions(),
            history=tuple(at.history),
            stopped_early=at.stopped_early,
        )
        if self.team.first and at.best is not None:
            load_into(self.live, at.best["weights"])
            self.task.model.eval()
            self.task.export(self.config.output, record)
        self.team.wait()
        return record

    def _show(self, stage: str, steps: int) -> None:
        at, epochs = self.at, self.settings.epochs
        left = epochs * steps - at.epoch * steps - at.step
        validations = -(-(epochs - at.epoch) // self.settings.validate_every)
        self.watcher(stage, epochs * steps - left, epochs * steps, self.clock.left(left, validations))

    def _where(self) -> str:
        return f"epoch {self.at.epoch + 1}, step {self.at.step}" if self.at.step else f"epoch {self.at.epoch}"


def ignore(stage: str, done: int, total: int, seconds_left: float | None) -> None:
    """Nobody watches."""


def say_nothing(sentence: str) -> None:
    """Nobody listens."""
