"""What task "slices" understands of a configuration's `network`, `head` and `options`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ....core.errors import BadInputError
from ...slice_nets import SliceHeadSettings
from ...slice_protocol.prompts import JITTER
from ...slice_protocol.slices import SIZE
from ..config import Block, Count, Positive, TrainingConfig


class SliceOptions(Block):
    """Options of the task.

    Attributes
    ----------
    stage : "two" trains the head on a frozen segmentor; "one" trains the mask decoder, or the whole encoder-decoder,
        with it, as published.
    size : pixels a side of the slices. jitter : most pixels that a side of a training box moves outward.
    target : "label" draws one label of the slice at random in training, "union" takes all of them. By default "label"
        with prompts, as published, and "union" without, since nothing tells such a network which label is meant.
    published_redraw : simulated experts err afresh at every training step, as the released code has it, instead of
        once for an image.
    embeddings : "cached" keeps the frozen encoder's answers on disk, "fresh" computes them at every step.
    cache : folder of slices and embeddings, which several trainings may share; by default beside the output.
    cache_gb : most space on disk for embeddings.
    """

    stage: Literal["one", "two"] = "two"
    size: Annotated[int, Field(strict=True, ge=32, multiple_of=32)] = SIZE
    jitter: Annotated[int, Field(strict=True, ge=0)] = JITTER
    target: Literal["label", "union"] | None = None
    published_redraw: bool = False
    embeddings: Literal["cached", "fresh"] = "cached"
    cache: Path | None = None
    cache_gb: Positive = 50.0


class SliceHeadOptions(Block):
    """The head; see `slice_nets.SliceHeadSettings`.

    tokens : extra mask tokens on a SAM decoder. By default "joint" in one-stage training, as published; in two-stage
        training "isolated" in mode released and "none" in mode consistent.
    fresh_mask_mlps : re-create the pretrained mask MLPs, as the released code does (a slip).
    width, dilations, stride : of the convolutions, see `heads.DenseSettings`.
    """

    tokens: Literal["none", "isolated", "joint"] | None = None
    fresh_mask_mlps: bool = False
    width: Count = 32
    dilations: tuple[Count, ...] = (1, 2, 4)
    stride: Count = 2


class SliceNetwork(Block):
    """A network: of a SAM-type segmentor its input size, or a new encoder-decoder.

    Attributes
    ----------
    input_size : pixels of the encoder's input, for SAM ViT-B: 256 as published, 512 or 1024.
    network_class : "CENet", instead of a `segmentor`. encoder : its encoder in timm.
    encoder_weights : a checkpoint of that encoder (ImageNet), as timm has it; random weights without.
    """

    input_size: Literal[256, 512, 1024] = 256
    network_class: Literal["CENet"] | None = Field(default=None, alias="class")
    encoder: str = "pvt_v2_b2"
    encoder_weights: Path | None = None


def head_settings(config: TrainingConfig, options: SliceOptions, head: SliceHeadOptions) -> SliceHeadSettings:
    """The head that a configuration asks for, its defaults filled in."""
    frozen = options.stage == "two"
    mode = config.loss.mode
    tokens = head.tokens
    if tokens is None:
        tokens = "joint" if not frozen else "isolated" if mode == "released" else "none"
    return SliceHeadSettings(
        experts=config.experts.count,
        mode=mode,
        frozen=frozen,
        tokens=tokens,
        width=head.width,
        dilations=head.dilations,
        stride=head.stride,
        size=options.size,
    )


def check_slices(config: TrainingConfig, options: SliceOptions, network: SliceNetwork) -> None:
    """Raise BadInputError for blocks that do not go together."""
    if not config.data:
        raise BadInputError('task "slices" needs at least one entry under "data"')
    if (config.segmentor is None) == (network.network_class is None):
        raise BadInputError(
            'task "slices" needs either "segmentor: {bundle: ...}" (medsam_vit_b.pth, litemedsam, a folder) or '
            '"network: {class: CENet}", and not both'
        )
    if network.network_class is not None and options.stage == "two":
        raise BadInputError(
            'two-stage training of a new CENet would freeze random weights; use "options: {stage: one}" first, then '
            'give the bundle that it wrote as "segmentor"'
        )
    if options.published_redraw and config.experts.readings:
        raise BadInputError('"published_redraw" draws simulated experts, but "experts" are the data\'s readings')
