"""The network of task "slices": a segmentor's bundle or a new encoder-decoder, with a new head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ....core.errors import BadInputError
from ...bundles import Bundle, load_bundle
from ...slice_nets import PlainSliceNet, SliceHeadSettings, SliceNet
from ...slice_router import PLAIN_CLASSES, PLAIN_FAMILY, check_slice_family, make_plain_net, make_slice_net
from ...weights import read_weights
from ..config import TrainingConfig
from .slices_options import SliceHeadOptions, SliceNetwork


def base_bundle(config: TrainingConfig, network: SliceNetwork) -> Bundle | None:
    """The segmentor's bundle, SAM ViT-B with the input size asked for; None for a new encoder-decoder.

    Raises
    ------
    BadInputError : no such bundle, one that segments no slices, or one whose masks need tokens of its own head.
    """
    if config.segmentor is None:
        return None
    bundle = load_bundle(config.segmentor.bundle)
    check_slice_family(bundle)
    settings = (bundle.head or {}).get("settings", {})
    if bundle.family != PLAIN_FAMILY and settings.get("tokens") == "joint":
        raise BadInputError(
            f'the masks of bundle "{bundle.id}" were trained together with the tokens of its own head; start from its '
            f"segmentor instead"
        )
    if bundle.family == "sam":
        bundle = replace(bundle, network={**bundle.network, "input_size": network.input_size})
    return bundle


def build_net(
    bundle: Bundle | None, network: SliceNetwork, settings: SliceHeadSettings, head: SliceHeadOptions
) -> SliceNet:
    """The network with random head weights; BadInputError if weights do not fit."""
    if bundle is not None:
        return make_slice_net(bundle, settings, head.fresh_mask_mlps)
    net = make_plain_net(network_description(network))
    if network.encoder_weights is not None:
        _load_encoder(net, network)
    return PlainSliceNet(net, settings)


def network_description(network: SliceNetwork) -> dict[str, Any]:
    """For bundle.json, of a new encoder-decoder."""
    return {"class": network.network_class, "arguments": {"encoder": network.encoder}, "classes": ["foreground"]}


def is_plain(bundle: Bundle | None) -> bool:
    """Whether the network takes no prompts."""
    return bundle is None or bundle.network.get("class") in PLAIN_CLASSES


def _load_encoder(net: nn.Module, network: SliceNetwork) -> None:
    """ImageNet weights of the encoder, as `timm` has them for classification: its head is left out, nothing else."""
    assert network.encoder_weights is not None
    path = network.encoder_weights.expanduser()
    encoder: Any = net.encoder
    own: Mapping[str, torch.Tensor] = encoder.state_dict()
    given = {_feature_name(name, own): tensor for name, tensor in read_weights(path).items()}
    missing = [name for name in own if name not in given or given[name].shape != own[name].shape]
    if missing:
        raise BadInputError(
            f'encoder weights "{path}" do not fit {network.encoder}: {len(own) - len(missing)} of {len(own)} tensors '
            f'match, "{missing[0]}" does not'
        )
    encoder.load_state_dict({name: given[name] for name in own})


def _feature_name(name: str, own: Mapping[str, torch.Tensor]) -> str:
    """Name of a classifier's tensor in a feature extractor, which writes stages.0 as stages_0."""
    if name in own:
        return name
    first, _, rest = name.partition(".")
    number, _, tail = rest.partition(".")
    return f"{first}_{number}.{tail}" if number.isdigit() else name
