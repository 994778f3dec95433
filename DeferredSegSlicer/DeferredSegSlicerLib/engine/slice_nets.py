"""2D networks with a routing head, for square slices: SAM-type decoders with a box, encoder-decoders without one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch import nn
from torch.nn import functional

from ..core.errors import BadInputError
from .heads import (
    ConsistentSamHead,
    DenseSettings,
    HeadInputs,
    Mode,
    ReleasedSamHead,
    RoutedNet,
    RoutingHead,
    RoutingLogits,
    SamTokenDecoder,
    encoder_decoder_with_head,
)
from .heads.context import resized
from .sam_decoder import EMBEDDING, BoxDecoder
from .weights import load_strictly

Tokens = Literal["none", "isolated", "joint"]

DECODER_FEATURES = EMBEDDING // 8
"""Channels of the upscaled features of SAM's mask decoder."""


@dataclass(frozen=True)
class SliceHeadSettings:
    """What a slice head is made of; stored in a bundle.

    Attributes
    ----------
    experts : J. mode : released or consistent. frozen : two-stage, the segmentor keeps its weights.
    tokens : extra mask tokens of a SAM decoder, see `heads.SamTokenDecoder`; ignored by encoder-decoders.
    width, dilations, stride : of the convolutions, see `heads.DenseSettings`; mode released on SAM has none.
    size : pixels a side of the slices.
    """

    experts: int
    mode: Mode = "consistent"
    frozen: bool = True
    tokens: Tokens = "none"
    width: int = 32
    dilations: tuple[int, ...] = (1, 2, 4)
    stride: int = 1
    size: int = 256

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode) or self.tokens not in get_args(Tokens):
            raise BadInputError(f'slice head of mode "{self.mode}" with tokens "{self.tokens}" is unknown')
        if self.experts < 1 or self.size < 32 or self.size % 32:
            raise BadInputError(
                f"slice head for {self.experts} experts on {self.size} pixels, expected 1 and 32 or more"
            )

    def to_json(self) -> dict[str, Any]:
        """For bundle.json."""
        return {**asdict(self), "dilations": list(self.dilations)}

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> SliceHeadSettings:
        """From bundle.json, other keys left aside; BadInputError if it does not fit."""
        known = {part.name: content[part.name] for part in fields(cls) if part.name in content}
        try:
            return cls(**{**known, "dilations": tuple(known.get("dilations", cls.dilations))})
        except TypeError as error:
            raise BadInputError(f"head settings {dict(content)} do not fit a slice head: {error}") from error


@dataclass(frozen=True)
class SliceAnswer:
    """logits (B, S, S) float32 of the foreground, and the routing on the same grid."""

    logits: torch.Tensor
    routing: RoutingLogits


class SliceNet(nn.Module):
    """A segmentor and its head. `prompted` : it wants boxes. `settings` : see `SliceHeadSettings`."""

    prompted: bool
    settings: SliceHeadSettings

    def embed(self, images: torch.Tensor) -> torch.Tensor | None:
        """What of images (B, 3, S, S) never changes in training and may be kept; None if there is nothing."""
        raise NotImplementedError

    def forward(
        self, images: torch.Tensor, boxes: torch.Tensor | None = None, embeddings: torch.Tensor | None = None
    ) -> SliceAnswer:
        """Segment and route images (B, 3, S, S) in 0..1.

        Parameters
        ----------
        boxes : (B, 4) x0, y0, x1, y1 in pixels; None for networks without prompts. embeddings : of `embed`, or None.
        """
        raise NotImplementedError

    def base_tensors(self) -> dict[str, torch.Tensor]:
        """The segmentor's tensors, by the names of its own checkpoints."""
        raise NotImplementedError

    def head_modules(self) -> nn.ModuleDict:
        """The parts that a head adds, by name."""
        raise NotImplementedError

    def head_tensors(self) -> dict[str, torch.Tensor]:
        """All that is not the segmentor's."""
        return dict(self.head_modules().state_dict())

    def load_head(self, tensors: Mapping[str, torch.Tensor], source: str) -> None:
        """Put stored head tensors in; BadInputError naming a missing, extra or misshapen one."""
        load_strictly(self.head_modules(), tensors, source)


class SamSliceNet(SliceNet):
    """A SAM-type segmentor: frozen image and prompt encoders, a mask decoder, and one of the SAM heads.

    The mask decoder is trained unless `settings.frozen`. Mode released always has tokens.

    Parameters
    ----------
    base : a network with `image_encoder`, `prompt_encoder` and `mask_decoder`, weights loaded; taken over.
    input_size : pixels a side of the encoder's input, to which slices are stretched.
    fresh_mask_mlps : re-create the pretrained mask MLPs, as the released code does (a slip).
    """

    prompted = True

    def __init__(
        self, base: nn.Module, input_size: int, settings: SliceHeadSettings, fresh_mask_mlps: bool = False
    ) -> None:
        super().__init__()
        if settings.mode == "released" and settings.tokens == "none":
            raise BadInputError('mode released on a SAM decoder needs tokens "joint" (one-stage) or "isolated"')
        if fresh_mask_mlps and (settings.frozen or settings.tokens == "none"):
            raise BadInputError("fresh_mask_mlps needs one-stage training and tokens: a frozen fresh MLP gives noise")
        if settings.frozen and settings.tokens == "joint":
            raise BadInputError('joint tokens change the masks of a frozen decoder; use tokens "isolated" or "none"')
        self.settings = settings
        self.input_size = input_size
        self.image_encoder = _part(base, "image_encoder")
        self.box = BoxDecoder(base.prompt_encoder, base.mask_decoder)  # type: ignore[arg-type]
        self.agent_tokens: nn.Embedding | None = None
        if settings.tokens != "none":
            tokens = SamTokenDecoder(
                self.box.mask_decoder, settings.experts, settings.tokens == "isolated", fresh_mask_mlps
            )
            self.agent_tokens = tokens.agent_tokens
            # not registered: it shares the mask decoder, whose tensors would be listed twice
            object.__setattr__(self, "_tokens", tokens)
        self.head = _sam_head(settings)
        self.image_encoder.requires_grad_(False)
        self.box.prompt_encoder.requires_grad_(False)
        self.box.mask_decoder.requires_grad_(not settings.frozen)
        self.train(self.training)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Image embeddings (B, 256, h, w), without a gradient; float16 under autocast on a GPU."""
        with torch.no_grad():
            shape = (self.input_size, self.input_size)
            if tuple(images.shape[2:]) != shape:
                images = functional.interpolate(images, size=shape, mode="bilinear")
            embedded: torch.Tensor = self.image_encoder(images)
            return embedded

    def forward(
        self, images: torch.Tensor, boxes: torch.Tensor | None = None, embeddings: torch.Tensor | None = None
    ) -> SliceAnswer:
        """See `SliceNet.forward`; the boxes are needed."""
        if boxes is None:
            raise ValueError("a SAM-type slice network needs a box for every slice")
        shape = tuple(images.shape[2:])
        embedded = (self.embed(images) if embeddings is None else embeddings).float()
        corners = boxes.float().reshape(-1, 2, 2) * (self.input_size / shape[-1])
        tokens: torch.Tensor | None = None
        with torch.set_grad_enabled(torch.is_grad_enabled() and not (self.settings.frozen and not self._has_tokens)):
            if self._has_tokens:
                sparse, dense = self.box.prompt_encoder(points=None, boxes=corners, masks=None)
                decoded = self._token_decoder(embedded, self.box.position, sparse, dense)
                low, features, tokens = decoded.logits[:, 0], decoded.features, decoded.tokens
            else:
                low, features, _ = self.box(embedded, corners)
        logits = functional.interpolate(low[:, None].float(), size=shape, mode="bilinear")
        gray = images.float().mean(dim=1, keepdim=True)
        inputs = HeadInputs(logits, features.float(), gray, boxes, tokens=tokens, embedding=embedded)
        return SliceAnswer(logits[:, 0], self.head(inputs))

    def train(self, mode: bool = True) -> SamSliceNet:
        """Training mode for head and, in one-stage training, the decoder; the encoders stay as they are."""
        super().train(mode)
        self.image_encoder.eval()
        self.box.prompt_encoder.eval()
        if self.settings.frozen:
            self.box.eval()
        return self

    def base_tensors(self) -> dict[str, torch.Tensor]:
        """image_encoder.*, prompt_encoder.* and mask_decoder.*, as in checkpoints of SAM and LiteMedSAM."""
        parts = {
            "image_encoder": self.image_encoder,
            "prompt_encoder": self.box.prompt_encoder,
            "mask_decoder": self.box.mask_decoder,
        }
        return {f"{part}.{name}": t for part, module in parts.items() for name, t in module.state_dict().items()}

    def head_modules(self) -> nn.ModuleDict:
        """head, and agent_tokens if there are any."""
        parts: dict[str, nn.Module] = {"head": self.head}
        if self.agent_tokens is not None:
            parts["agent_tokens"] = self.agent_tokens
        return nn.ModuleDict(parts)

    @property
    def _has_tokens(self) -> bool:
        return self.agent_tokens is not None

    @property
    def _token_decoder(self) -> SamTokenDecoder:
        decoder: SamTokenDecoder = self.__dict__["_tokens"]
        return decoder


class PlainSliceNet(SliceNet):
    """A 2D encoder-decoder with one foreground logit and a dense head on its last feature map.

    Parameters
    ----------
    net : (B, 3, S, S) to logits (B, 1, S, S); taken over.
    """

    prompted = False

    def __init__(self, net: nn.Module, settings: SliceHeadSettings) -> None:
        super().__init__()
        self.settings = settings
        self.routed: RoutedNet = encoder_decoder_with_head(
            net,
            settings.experts,
            settings.mode,
            width=settings.width,
            dilations=settings.dilations,
            stride=settings.stride,
            frozen=settings.frozen,
        )

    def embed(self, images: torch.Tensor) -> None:
        """Nothing is worth keeping: the whole network may be trained."""

    def forward(
        self, images: torch.Tensor, boxes: torch.Tensor | None = None, embeddings: torch.Tensor | None = None
    ) -> SliceAnswer:
        """See `SliceNet.forward`; boxes are not looked at."""
        answer = self.routed(images)
        return SliceAnswer(answer.logits[:, 0].float(), answer.routing)

    def base_tensors(self) -> dict[str, torch.Tensor]:
        """Of the network, by its own names."""
        return dict(self.routed.net.state_dict())

    def head_modules(self) -> nn.ModuleDict:
        """head."""
        return nn.ModuleDict({"head": self.routed.head})


def _sam_head(settings: SliceHeadSettings) -> RoutingHead:
    if settings.mode == "released":
        return ReleasedSamHead(settings.experts, EMBEDDING, DECODER_FEATURES)
    dense = DenseSettings(
        features=DECODER_FEATURES,
        experts=settings.experts,
        box=True,
        width=settings.width,
        dilations=settings.dilations,
        stride=settings.stride,
    )
    return ConsistentSamHead(dense, EMBEDDING if settings.tokens != "none" else None)


def _part(base: nn.Module, name: str) -> nn.Module:
    module: nn.Module = getattr(base, name)
    return module


def leading_agent(routing: RoutingLogits, shape: tuple[int, int]) -> torch.Tensor:
    """Which agent decides each pixel, int64 (B, *shape), experts first, model last: the largest probability."""
    return resized(routing.routing(), shape).argmax(dim=1)
