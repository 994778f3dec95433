"""Any network that ends in class logits, with a routing head on its last feature map, tapped by a forward hook."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from .base import HeadInputs, RoutingHead, RoutingLogits
from .dense import DenseHead, DenseSettings


@dataclass(frozen=True)
class Routed:
    """logits (B, C, *S) of the network, as it gives them without a head, and the routing on the same grid."""

    logits: torch.Tensor
    routing: RoutingLogits


class RoutedNet(nn.Module):
    """A segmentation network and a routing head as one module.

    Parameters
    ----------
    net : from (B, channels, *S) to class logits (B, C, *S); of a list or of deep supervision's (B, heads, C, *S) the
        first is taken.
    layer : name of the submodule whose input is the last feature map (`last_layer` knows some networks).
    head : sees logits, tapped features and, if it wants an image, the first input channel.
    frozen : two-stage training: the network stays in evaluation mode, keeps its weights and gets no gradient.
    embedding_layer : name of a submodule whose output the predictor of mode `released` sees; None for the features.
    """

    def __init__(
        self, net: nn.Module, layer: str, head: RoutingHead, frozen: bool = True, embedding_layer: str | None = None
    ) -> None:
        super().__init__()
        self.net = net
        self.head = head
        self.frozen = frozen
        self._tapped: dict[str, torch.Tensor] = {}
        _submodule(net, layer).register_forward_pre_hook(self._keep_input)
        if embedding_layer is not None:
            _submodule(net, embedding_layer).register_forward_hook(self._keep_output)
        if frozen:
            net.requires_grad_(False)
        self.train(self.training)

    def forward(self, images: torch.Tensor) -> Routed:
        """Segment and route images (B, channels, *S); the first channel in 0..1 if the head sees the image."""
        self._tapped.clear()
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            answer = self.net(images)
        logits: torch.Tensor = answer[0] if isinstance(answer, list | tuple) else answer
        if logits.ndim == images.ndim + 1:
            logits = logits[:, 0]
        inputs = HeadInputs(logits=logits, features=self._tapped["features"], image=images[:, :1])
        inputs = replace(inputs, embedding=self._tapped.get("embedding"))
        self._tapped.clear()
        return Routed(logits, self.head(inputs))

    def train(self, mode: bool = True) -> RoutedNet:
        """Training mode for the head, and for the network unless it is frozen."""
        super().train(mode)
        if self.frozen:
            self.net.eval()
        return self

    def _keep_input(self, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        self._tapped["features"] = arguments[0]

    def _keep_output(self, module: nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> None:
        self._tapped["embedding"] = output


def make_routed_net(net: nn.Module, layer: str, settings: DenseSettings, frozen: bool = True) -> RoutedNet:
    """A network with a dense head; the channels of the feature map are read from the network, not from `settings`."""
    return RoutedNet(net, layer, DenseHead(replace(settings, features=input_channels(net, layer))), frozen=frozen)


def last_layer(net: nn.Module) -> str:
    """Name of the submodule that turns the last feature map into logits.

    Known: MONAI's UNet (whose last map has half the resolution), SegResNet and DynUNet, and any network that has a
    submodule named `output_block`, `conv_final`, `segmentation_head` or `final_conv`.

    Raises
    ------
    ValueError : another network; give the name yourself.
    """
    names = {name for name, _ in net.named_modules()}
    for known in ("conv_final", "output_block", "segmentation_head", "final_conv"):
        if known in names:
            return known
    children = dict(net.named_children())
    if type(net).__name__ == "UNet" and list(children) == ["model"] and isinstance(children["model"], nn.Sequential):
        return f"model.{len(children['model']) - 1}"
    raise ValueError(f"the last layer of a {type(net).__name__} is not known; name the submodule that makes its logits")


def input_channels(net: nn.Module, layer: str) -> int:
    """Channels that a submodule takes: those of the first convolution in it."""
    for module in _submodule(net, layer).modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            return module.in_channels
    raise ValueError(f'layer "{layer}" of a {type(net).__name__} has no convolution to read its channels from')


def _submodule(net: nn.Module, layer: str) -> nn.Module:
    try:
        return net.get_submodule(layer)
    except AttributeError as error:
        raise ValueError(f'a {type(net).__name__} has no submodule "{layer}"') from error


def pack(routed: Routed) -> torch.Tensor:
    """Class logits and routing probabilities as one tensor (B, C + J + 1, *S), for sliding-window inference.

    Windows that overlap are averaged; averages of routing probabilities still add up to 1, as those of logits do not.
    """
    routing = routed.routing.routing()
    return torch.cat([routed.logits.float(), routing], dim=1)


def unpack(packed: torch.Tensor, experts: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Class logits (B, C, *S) and routing probabilities (B, J + 1, *S), model last, from `pack`."""
    return packed[:, : -(experts + 1)], packed[:, -(experts + 1) :]
