"""Routing heads for 3D networks: MONAI's UNet, SegResNet, DynUNet and whatever else ends in a feature map."""

from __future__ import annotations

from torch import nn

from .base import Mode
from .dense import DenseSettings
from .routed_net import RoutedNet, last_layer, make_routed_net


def volumetric_with_head(
    net: nn.Module,
    experts: int,
    mode: Mode = "consistent",
    layer: str | None = None,
    width: int = 16,
    dilations: tuple[int, ...] = (1, 2),
    stride: int = 1,
    frozen: bool = True,
) -> RoutedNet:
    """A 3D network with a routing head on the feature map that enters its output layer.

    Parameters
    ----------
    net : (B, channels, D, H, W) to class logits (B, C, D, H, W).
    layer : submodule that makes the logits; None to look it up.
    width, dilations, stride : of the head, see `DenseSettings`. frozen : two-stage training.
    """
    settings = DenseSettings(
        features=1, experts=experts, axes=3, mode=mode, width=width, dilations=dilations, stride=stride
    )
    return make_routed_net(net, layer or last_layer(net), settings, frozen=frozen)
