"""Routing heads: when to defer and to whom, for SAM-type decoders, 2D encoder-decoders and 3D networks."""

from .base import HeadInputs, Mode, RoutingHead, RoutingLogits, decisive, ranked, reassign
from .dense import DenseHead, DenseSettings
from .encoder_decoder import encoder_decoder_with_head
from .routed_net import Routed, RoutedNet, last_layer
from .sam import ConsistentSamHead, ReleasedSamHead
from .sam_tokens import SamDecoded, SamTokenDecoder
from .stack import AgentLogits, StackHead, StackSettings
from .volumetric import volumetric_with_head

__all__ = [
    "AgentLogits",
    "ConsistentSamHead",
    "DenseHead",
    "DenseSettings",
    "HeadInputs",
    "Mode",
    "ReleasedSamHead",
    "Routed",
    "RoutedNet",
    "RoutingHead",
    "RoutingLogits",
    "SamDecoded",
    "SamTokenDecoder",
    "StackHead",
    "StackSettings",
    "decisive",
    "encoder_decoder_with_head",
    "last_layer",
    "ranked",
    "reassign",
    "volumetric_with_head",
]
