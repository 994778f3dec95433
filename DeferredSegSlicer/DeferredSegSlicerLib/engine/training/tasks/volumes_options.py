"""What task "volumes" understands of a configuration's `network`, `head` and `options`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ....core.errors import BadInputError
from ....core.zone import ZONE_BAND_MM
from ...simulation import CORRELATED_READERS, SimulatedReader
from ...volume_head import VolumeHeadSettings
from ..config import Block, Count, Share, TrainingConfig, Weight

Surrogate = Literal["collaboration", "one_vs_all", "decoupled", "realizable"]
"""The loss that teaches the routing; all but the first belong to mode `consistent`."""


class Augmentation(Block):
    """Random changes of the training images.

    mirror : probability of exchanging left and right. scale, shift : largest relative and absolute change of the gray
    values (0..1). gamma : largest exponent, the smallest is its inverse. noise : largest standard deviation.
    """

    mirror: Share = 0.5
    scale: Weight = 0.1
    shift: Weight = 0.05
    gamma: Annotated[float, Field(strict=True, ge=1, le=4)] = 1.25
    noise: Weight = 0.05


class VolumeNetwork(Block):
    """The network, as it will stand in the bundle; not needed with `segmentor: {bundle: ...}`.

    network_class : "UNet", "SegResNet" or "DynUNet". arguments : of that MONAI class.
    roi : window in voxels of the stack (slices, rows, columns): larger images are cut to patches of this size.
    overlap : of windows when a volume is segmented.
    divisor : sides of images and windows are padded to a multiple of it.
    """

    network_class: str | None = Field(default=None, alias="class")
    arguments: dict[str, Any] = Field(default_factory=dict)
    roi: tuple[Count, Count, Count] | None = None
    overlap: Annotated[float, Field(strict=True, ge=0, le=0.9)] = 0.25
    divisor: Annotated[int, Field(strict=True, ge=1, le=512)] = 8


class VolumeHeadOptions(Block):
    """The head; see `volume_head.VolumeHeadSettings`. answers : "agents" in mode consistent, else "routing"."""

    answers: Literal["agents", "routing"] | None = None
    width: Count = 16
    dilations: tuple[Count, ...] = (1, 2)
    stride: Count = 1
    layer: str | None = None


class VolumeOptions(Block):
    """Options of the task.

    Attributes
    ----------
    route : False trains the network alone, without a head, for a bundle to start from or to compare with.
    frozen : two-stage training: only the head is trained, on the errors of the `segmentor`.
    surrogate : see `Surrogate`. agents_weight : of the questions for single agents beside the collaboration loss,
        which keep every agent's probability calibrated (heads that answer for agents alone).
    routing_weight : of all that trains the routing, beside the segmentation loss.
    segmentation : "both" is cross-entropy and Dice; "cross-entropy" alone is what mode released publishes.
    zone_floor, zone_band_mm : of the decision zone, in which the routing is trained and validated.
    budget : share of the zone that is deferred when the system is validated.
    readers : names of the correlated simulated readers to take, instead of the first `experts.count` of them.
    positive : probability that a patch is drawn around a labeled voxel.
    cache_rate : share of the training images that are kept in memory. cache : folder of prepared images; by default
        beside the output.
    split_seed : divides the patients where the data has no published split.
    license : of the new weights; with a `segmentor`, that of its bundle.
    """

    route: bool = True
    frozen: bool = False
    surrogate: Surrogate = "collaboration"
    agents_weight: Weight = 1.0
    routing_weight: Weight = 1.0
    segmentation: Literal["both", "cross-entropy"] = "both"
    zone_floor: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.02
    zone_band_mm: Weight = ZONE_BAND_MM
    budget: Share = 0.1
    readers: tuple[str, ...] | None = None
    positive: Share = 0.67
    cache_rate: Share = 1.0
    cache: Path | None = None
    split_seed: int = 2023
    license: str = "Apache-2.0"
    augmentation: Augmentation = Field(default_factory=Augmentation)


def head_settings(config: TrainingConfig, options: VolumeOptions, head: VolumeHeadOptions) -> VolumeHeadSettings:
    """The head that a configuration asks for, its defaults filled in; BadInputError for what does not go together."""
    mode = config.loss.mode
    answers = head.answers or ("agents" if mode == "consistent" else "routing")
    if options.surrogate != "collaboration" and mode == "released":
        raise BadInputError(f'surrogate "{options.surrogate}" belongs to "loss: {{mode: consistent}}"')
    if options.surrogate in ("one_vs_all", "decoupled") and answers != "agents":
        raise BadInputError(f'surrogate "{options.surrogate}" needs "head: {{answers: agents}}"')
    try:
        return VolumeHeadSettings(
            experts=config.experts.count,
            mode=mode,
            answers=answers,
            width=head.width,
            dilations=head.dilations,
            stride=head.stride,
            layer=head.layer,
        )
    except ValueError as error:
        raise BadInputError(f"the head of the configuration does not fit: {error}") from error


def chosen_readers(config: TrainingConfig, options: VolumeOptions) -> tuple[SimulatedReader, ...]:
    """The simulated readers, none with `readings: true`; BadInputError for names that do not fit the experts."""
    if options.readers is None:
        return config.experts.readers()
    known = {reader.name: reader for reader in CORRELATED_READERS}
    unknown = [name for name in options.readers if name not in known]
    if config.experts.simulated != "correlated" or unknown or len(set(options.readers)) != config.experts.count:
        raise BadInputError(
            f'"readers" of the options are {", ".join(options.readers)}, expected {config.experts.count} different '
            f"ones of {', '.join(known)}, with simulated experts of kind correlated"
        )
    return tuple(known[name] for name in options.readers)


def check_volumes(config: TrainingConfig, options: VolumeOptions, network: VolumeNetwork) -> None:
    """Raise BadInputError for blocks that do not go together."""
    if not config.data:
        raise BadInputError('task "volumes" needs at least one entry under "data"')
    if (config.segmentor is None) == (network.network_class is None):
        raise BadInputError(
            'task "volumes" needs either "network: {class: UNet, ...}" or "segmentor: {bundle: ...}", and not both'
        )
    if network.network_class is not None and network.roi is None:
        raise BadInputError('"network" of task "volumes" needs "roi", three window sizes in voxels')
    chosen_readers(config, options)
    if options.frozen and config.segmentor is None:
        raise BadInputError(
            '"frozen: true" would train a head on random weights; train the network first ("route: false") and give '
            'the bundle that it wrote as "segmentor"'
        )
    if options.frozen and not options.route:
        raise BadInputError('"frozen: true" with "route: false" leaves nothing to train')
