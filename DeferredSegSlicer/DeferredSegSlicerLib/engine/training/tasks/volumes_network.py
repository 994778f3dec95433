"""The network that task "volumes" starts from: a new one, or that of a trained bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ....core.errors import BadInputError
from ...bundles import Bundle, load_bundle, sha256_of
from ...monai_nets import NETWORKS, make_described_network
from ...weights import load_strictly, read_weights
from ..config import TrainingConfig
from .volumes_options import VolumeNetwork

FAMILY = "monai"
"""Of the bundles that are read and written."""


@dataclass(frozen=True)
class Start:
    """network : as configured, or as the bundle has it. bundle : None for a new network."""

    network: VolumeNetwork
    bundle: Bundle | None

    @property
    def windows(self) -> Mapping[str, Mapping[str, Any]]:
        """Intensity windows by modality; empty for the usual ones."""
        return {} if self.bundle is None else self.bundle.windows

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Foreground classes of the bundle; None for a new network, which takes those of the data."""
        return None if self.bundle is None else self.bundle.classes

    def described(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """The part "network" of bundle.json."""
        if self.bundle is not None:
            return dict(self.bundle.network)
        network = self.network
        return {
            "class": network.network_class,
            "arguments": self._arguments(len(classes)),
            "roi": list(network.roi or ()),
            "overlap": network.overlap,
            "divisor": network.divisor,
            "classes": list(classes),
        }

    def make(self, classes: int) -> nn.Module:
        """The network with its weights, trained or new; BadInputError if they do not fit."""
        if self.bundle is None:
            names = tuple(f"class {n + 1}" for n in range(classes))
            return make_described_network(self.described(names), "the configuration")
        path = self.bundle.weights
        if not path.is_file() or sha256_of(path) != self.bundle.sha256:
            raise BadInputError(f'weights "{path}" of bundle "{self.bundle.id}" are missing, damaged or exchanged')
        net = make_described_network(self.bundle.network, f'bundle "{self.bundle.id}"')
        load_strictly(net, read_weights(path), str(path))
        return net

    def _arguments(self, classes: int) -> dict[str, Any]:
        """The arguments with what follows from the data, unless they say otherwise."""
        return {"spatial_dims": 3, "in_channels": 1, "out_channels": classes + 1, **self.network.arguments}


def start_of(config: TrainingConfig, network: VolumeNetwork) -> Start:
    """Where a configuration starts from; BadInputError for a bundle that is no 3D network."""
    if config.segmentor is None:
        return Start(network, None)
    bundle = load_bundle(config.segmentor.bundle)
    if bundle.family != FAMILY or bundle.network.get("class") not in NETWORKS:
        raise BadInputError(f'bundle "{bundle.id}" is no 3D network; expected one of {", ".join(NETWORKS)}')
    described = bundle.network
    make_described_network(described, f'bundle "{bundle.id}"')
    known = VolumeNetwork.model_validate(
        {
            "class": described["class"],
            "arguments": described.get("arguments", {}),
            "roi": tuple(described["roi"]),
            "overlap": float(described.get("overlap", 0.25)),
            "divisor": described.get("divisor") or VolumeNetwork.model_fields["divisor"].default,
        }
    )
    return Start(known, bundle)
