"""A training's configuration, field by field, without unknown keys; `config_file.read_config` reads it from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from ..losses.total import ConsistentSettings, ReleasedSettings

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..simulation import SimulatedReader

Count = Annotated[int, Field(strict=True, ge=1)]
Weight = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]


class Block(BaseModel):
    """Base of all blocks, and of the tasks' own `options` models: frozen, and no key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Block):
    """One data set.

    kind : one of `datasets.DATASETS`. validation_every : every n-th training patient validates.
    modalities : use these alone ("CT", "MR", "other"); None for all.
    """

    kind: str
    folder: Path
    validation_every: Annotated[int, Field(strict=True, ge=2)] = 5
    modalities: tuple[Literal["CT", "MR", "other"], ...] | None = None

    @field_validator("folder")
    @classmethod
    def _home(cls, folder: Path) -> Path:
        return folder.expanduser()

    def open(self, seed: int) -> Dataset:
        """The data set. `modalities` is for the caller to apply."""
        from ..datasets import open_dataset

        return open_dataset(self.kind, self.folder, self.validation_every, seed)


class SegmentorConfig(Block):
    """The network that the head is trained on: name or folder of a bundle, or a SAM checkpoint (.pth)."""

    bundle: str


class ConsistentLoss(Block):
    """Weights of mode `consistent`; see `losses.total.ConsistentSettings`."""

    mode: Literal["consistent"] = "consistent"
    collaboration: Weight = 1.0
    coherence: Weight = 0.1
    load_balance: Weight = 1.0
    budget_weight: Weight = 0.1
    segmentation: Weight = 1.0
    budget: Share = 0.1
    costs: tuple[Share, ...] | None = None
    sigma: Positive = 0.1
    tightness: Share = 0.6

    def settings(self, spacing: tuple[float, ...] | None = None) -> ConsistentSettings:
        """For `losses.deferral_loss`; spacing in mm along the tensor's spatial axes."""
        return ConsistentSettings(**self.model_dump(exclude={"mode"}), spacing=spacing)


class ReleasedLoss(Block):
    """Weights of mode `released`; see `losses.total.ReleasedSettings`."""

    mode: Literal["released"]
    collaboration: Weight = 1.0
    guidance: Weight = 1.0
    load_balance: Weight = 5.0
    segmentation: Weight = 1.0
    double_sigmoid: bool = False

    def settings(self, spacing: tuple[float, ...] | None = None) -> ReleasedSettings:
        """For `losses.deferral_loss`; spacing is not used in this mode."""
        return ReleasedSettings(**self.model_dump(exclude={"mode"}))


def _mode(value: Any) -> str:
    mode = value.get("mode", "consistent") if isinstance(value, dict) else getattr(value, "mode", "consistent")
    return mode if isinstance(mode, str) else "unknown"


LossConfig = Annotated[
    Annotated[ConsistentLoss, Tag("consistent")] | Annotated[ReleasedLoss, Tag("released")],
    Discriminator(
        _mode, custom_error_type="mode", custom_error_message='"mode" is not known, expected consistent or released'
    ),
]


class ExpertsConfig(Block):
    """Who defers to whom: simulated readers, or the data's own.

    simulated : which simulation. count : how many of them. readings : the readers that come with the data instead.
    """

    simulated: Literal["correlated", "specialists", "published-similar", "published-complementary"] | None = None
    count: Count = 3
    readings: bool = False

    @model_validator(mode="before")
    @classmethod
    def _correlated_by_default(cls, value: Any) -> Any:
        if isinstance(value, dict) and not value.get("readings") and "simulated" not in value:
            return {**value, "simulated": "correlated"}
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> ExpertsConfig:
        if self.readings == (self.simulated is not None):
            raise ValueError('give either "simulated" or "readings: true", not both and not neither')
        self.readers()  # says so if there are not as many
        return self

    def readers(self) -> tuple[SimulatedReader, ...]:
        """The simulated readers, empty with `readings: true`; ValueError if there are not as many as `count`."""
        from ..simulation import correlated_readers, published_experts, specialist_readers

        if self.simulated is None:
            return ()
        if self.simulated == "correlated":
            return correlated_readers(self.count)
        if self.simulated == "specialists":
            return specialist_readers(self.count)
        which: Literal["similar", "discrepancy"] = "similar" if self.simulated == "published-similar" else "discrepancy"
        return published_experts(which, self.count)


class LoopConfig(Block):
    """How long, how fast and on what.

    Attributes
    ----------
    epochs, warmup_epochs : the learning rate rises linearly, then falls along a cosine.
    patience : validations without a better score before training stops; null never stops early.
    batch : images, patches or stacks in an item, for the task. accumulate : items an optimizer step, over all
        processes together.
    amp : auto (fp16 on a GPU, off on the CPU), off, fp16 or bf16. ema : decay of the averaged weights, null for none.
    clip : largest norm of the gradient. validate_every : epochs. checkpoint_minutes : between checkpoints in an epoch.
    log_every : optimizer steps between two lines of the log.
    """

    epochs: Count = 50
    learning_rate: Positive = 1e-3
    weight_decay: Weight = 0.01
    warmup_epochs: Weight = 1.0
    patience: Count | None = None
    batch: Count = 1
    accumulate: Count = 1
    device: str = "auto"
    amp: Literal["auto", "off", "fp16", "bf16"] = "auto"
    ema: Annotated[float, Field(strict=True, gt=0, lt=1)] | None = None
    clip: Positive = 1.0
    validate_every: Count = 1
    checkpoint_minutes: Weight = 10.0
    log_every: Count = 10

    @field_validator("amp", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML reads a bare `off` as false


class TrainingConfig(Block):
    """A whole configuration. `network`, `head` and `options` are the task's: it checks them with its own models.

    name : of the bundle, for people; output : the bundle's folder, whose last part is the bundle's id.
    """

    task: str
    output: Path
    name: str | None = None
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 2023
    data: tuple[DataConfig, ...] = ()
    segmentor: SegmentorConfig | None = None
    network: dict[str, Any] = Field(default_factory=dict)
    head: dict[str, Any] = Field(default_factory=dict)
    loss: LossConfig = Field(default_factory=ConsistentLoss)
    experts: ExpertsConfig = Field(default_factory=ExpertsConfig)
    training: LoopConfig = Field(default_factory=LoopConfig)
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("output")
    @classmethod
    def _home(cls, folder: Path) -> Path:
        return folder.expanduser()

    def on(self, device: str) -> TrainingConfig:
        """The same on another device."""
        return self.model_copy(update={"training": self.training.model_copy(update={"device": device})})

    def to(self, output: Path) -> TrainingConfig:
        """The same with another output folder."""
        return self.model_copy(update={"output": output})
