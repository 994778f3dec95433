"""3D networks of MONAI that segment their own classes without a prompt, by sliding windows over the whole volume."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import DynUNet, SegResNet, UNet
from torch import nn

from ..core.errors import BadInputError
from .devices import is_out_of_memory, memory_errors_as_advice
from .heads.routed_net import RoutedNet
from .segmentor import Encoding, Prediction
from .volume_head import VolumeHeadSettings, make_routed, read_head
from .volume_routing import PackedNet, RoutedMaps, StoredRouting, store_routing
from .weights import load_strictly

NETWORKS: dict[str, type[nn.Module]] = {"UNet": UNet, "SegResNet": SegResNet, "DynUNet": DynUNet}
"""The classes that a bundle may name."""


def make_network(class_name: str, arguments: Mapping[str, Any], source: str) -> nn.Module:
    """A MONAI network of an allowed class; BadInputError if the class or its arguments are not right."""
    if class_name not in NETWORKS:
        raise BadInputError(f'network class "{class_name}" in {source} is unknown, expected {", ".join(NETWORKS)}')
    try:
        return NETWORKS[class_name](**arguments)
    except (TypeError, ValueError, AttributeError, KeyError, NotImplementedError) as error:
        raise BadInputError(f'arguments of "{class_name}" in {source} do not fit: {error}') from error


def infer_windows(
    network: nn.Module,
    volume: torch.Tensor,
    roi: tuple[int, int, int],
    overlap: float,
    divisor: int | None,
    device: torch.device,
    windows: int = 1,
    half: bool | None = None,
) -> torch.Tensor:
    """A network's channels for a volume (D, H, W), from overlapping windows: float32 (channels, D, H, W).

    Windows are computed on `device`; the volume and the answer stay in main memory.

    Parameters
    ----------
    roi : window in voxels. divisor : where the volume is smaller than a window, the window shrinks to the volume's
        side, rounded up to a multiple of this; None keeps windows, and pads with 0, whatever the volume.
    windows : computed at once. half : in float16; None where `device` is a GPU.
    """
    if divisor is not None:
        roi = tuple(min(r, -(-n // divisor) * divisor) for r, n in zip(roi, volume.shape, strict=True))  # type: ignore[assignment]
    inferer = SlidingWindowInferer(
        roi_size=roi,
        sw_batch_size=windows,
        overlap=overlap,
        mode="gaussian",
        sw_device=device,
        device=torch.device("cpu"),
    )
    with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda" if half is None else half):
        answer: torch.Tensor = inferer(volume[None, None], network)
    return answer[0].float()


class VolumeSegmentor:
    """A 3D network with class 0 for background; implements `segmentor.Segmentor`.

    `encode` runs the network over the whole stack and keeps its class logits; `decode` answers with one foreground
    logit map a class: the class's logit against all others, log p - log(1 - p) with p from the softmax.
    roi: window size in voxels along the stack's axes; overlap: share of a window in its neighbor, 0..0.9.
    divisor: see `infer_windows`.
    """

    needs_box = False
    whole_volume = True

    def __init__(
        self,
        name: str,
        network: nn.Module,
        classes: Sequence[str],
        roi: tuple[int, int, int],
        device: torch.device,
        overlap: float = 0.25,
        divisor: int | None = None,
    ) -> None:
        self.name = name
        self.classes = tuple(classes)
        self.device = device
        self.roi = roi
        self.overlap = overlap
        self.divisor = divisor
        self.network = network.eval().requires_grad_(False).to(device)

    @torch.inference_mode()
    def encode(self, slices: np.ndarray) -> list[Encoding]:
        """Run the network over a stack (D, H, W) of float32 in 0..1; the one encoding holds (K + 1, D, H, W) logits."""
        return [Encoding(features=self._checked(self._run(slices)), shape=slices.shape)]

    def _run(self, slices: np.ndarray) -> torch.Tensor:
        """The network's channels for a stack, float32 (channels, D, H, W) in main memory."""
        if slices.ndim != 3 or 0 in slices.shape:
            raise BadInputError(f"volume to segment has shape {slices.shape}, expected (D, H, W) with no empty axis")
        volume = torch.from_numpy(np.ascontiguousarray(slices, dtype=np.float32))
        windows = 4 if self.device.type == "cuda" else 1
        while True:
            try:
                return infer_windows(
                    self.network, volume, self.roi, self.overlap, self.divisor, self.device, windows=windows
                )
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if windows == 1:
                    with memory_errors_as_advice(self.device, "running a 3D network on one window"):
                        raise
            windows //= 2

    def _checked(self, logits: torch.Tensor) -> torch.Tensor:
        if len(logits) != len(self.classes) + 1:
            raise BadInputError(
                f'network "{self.name}" answers with {len(logits)} channels, '
                f"expected {len(self.classes) + 1}: background and {len(self.classes)} classes"
            )
        return logits

    @torch.inference_mode()
    def decode(self, encoding: Encoding, boxes: np.ndarray | None, with_features: bool = False) -> Prediction:
        """Foreground logits (K, D, H, W), one for each of `classes`; `boxes` has to be None."""
        if boxes is not None:
            raise BadInputError(f'segmentor "{self.name}" finds its structures by itself and takes no boxes')
        logits = encoding.features.float()
        count = len(self.classes)
        against = torch.empty((count, *logits.shape[1:]))
        for index in range(1, count + 1):
            others = [channel for channel in range(count + 1) if channel != index]
            against[index - 1] = logits[index] - torch.logsumexp(logits[others], dim=0)
        return Prediction(logits=against)


class RoutedVolumeSegmentor(VolumeSegmentor):
    """A 3D network with its routing head; one run of the windows gives labels and routing.

    The routing of the stack that was encoded last is kept, as bytes, for `deferral.routed_volume`.
    """

    def __init__(
        self,
        name: str,
        routed: RoutedNet,
        settings: VolumeHeadSettings,
        classes: Sequence[str],
        roi: tuple[int, int, int],
        device: torch.device,
        overlap: float = 0.25,
        divisor: int | None = None,
    ) -> None:
        super().__init__(name, PackedNet(routed), classes, roi, device, overlap, divisor)
        self.settings = settings
        self._latest: tuple[bytes, StoredRouting] | None = None

    @torch.inference_mode()
    def encode(self, slices: np.ndarray) -> list[Encoding]:
        """As `VolumeSegmentor.encode`; the logits are those of the network without the head."""
        maps = self.maps_of(slices)
        self._latest = (_content(slices), store_routing(maps, self.settings.error))
        return [Encoding(features=maps.logits.half(), shape=slices.shape)]

    @torch.inference_mode()
    def maps_of(self, slices: np.ndarray) -> RoutedMaps:
        """All that network and head say of a stack (D, H, W), before it is brought down to bytes."""
        maps = RoutedMaps.of(self._run(slices), self.settings.experts)
        self._checked(maps.logits)
        return maps

    def routing_of(self, slices: np.ndarray) -> StoredRouting:
        """The routing of a stack (D, H, W); computed again only if another one was encoded in between."""
        if self._latest is None or self._latest[0] != _content(slices):
            self.encode(slices)
        assert self._latest is not None
        return self._latest[1]


def _content(slices: np.ndarray) -> bytes:
    digest = hashlib.blake2b(str(slices.shape).encode("ascii"), digest_size=16)
    digest.update(np.ascontiguousarray(slices).data)
    return digest.digest()


def make_volume_segmentor(
    name: str,
    network: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    device: torch.device,
    source: str,
    head: Mapping[str, Any] | None = None,
    head_tensors: Mapping[str, torch.Tensor] | None = None,
) -> VolumeSegmentor:
    """The segmentor of the part "network" of a bundle.json: class, arguments, classes, roi, overlap, divisor.

    head, head_tensors : "head" of the bundle.json and its tensors, for a bundle with a head of kind "volume".
    """
    roi, overlap, divisor, classes = _checked_windows(network, source)
    net = _make_net(network, source)
    load_strictly(net, tensors, source)
    if head is None or head_tensors is None:
        return VolumeSegmentor(name, net, classes, roi, device, overlap, divisor)
    settings = read_head(head, f'bundle "{name}"')
    routed = make_routed(net, settings, frozen=True, source=source)
    load_strictly(routed.head, head_tensors, f"head of {source}")
    return RoutedVolumeSegmentor(name, routed, settings, classes, roi, device, overlap, divisor)


def make_described_network(network: Mapping[str, Any], source: str) -> nn.Module:
    """The untrained network of the part "network" of a bundle.json; BadInputError for what does not fit."""
    _checked_windows(network, source)
    return _make_net(network, source)


def _make_net(network: Mapping[str, Any], source: str) -> nn.Module:
    arguments = network.get("arguments", {})
    if not isinstance(arguments, dict):
        raise BadInputError(f'"arguments" in {source} is no object, expected the arguments of the network class')
    return make_network(str(network.get("class")), arguments, source)


def _checked_windows(
    network: Mapping[str, Any], source: str
) -> tuple[tuple[int, int, int], float, int | None, tuple[str, ...]]:
    """roi, overlap, divisor and classes; BadInputError naming what is wrong."""
    roi, classes, overlap = network.get("roi"), network.get("classes"), network.get("overlap", 0.25)
    divisor = network.get("divisor")
    if not (isinstance(roi, list) and len(roi) == 3 and all(isinstance(size, int) and size > 0 for size in roi)):
        raise BadInputError(f'"roi" in {source} is {roi}, expected three positive whole numbers (voxels)')
    if not (isinstance(classes, list) and classes and all(isinstance(label, str) and label for label in classes)):
        raise BadInputError(f'"classes" in {source} is {classes}, expected the names of the foreground classes')
    if not (isinstance(overlap, (int, float)) and 0 <= overlap <= 0.9):
        raise BadInputError(f'"overlap" in {source} is {overlap}, expected 0 to 0.9')
    if divisor is not None and not (type(divisor) is int and 1 <= divisor <= 512):
        raise BadInputError(f'"divisor" in {source} is {divisor}, expected a whole number from 1 to 512')
    return (roi[0], roi[1], roi[2]), float(overlap), divisor, tuple(classes)
