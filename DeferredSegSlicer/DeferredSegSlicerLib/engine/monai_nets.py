"""3D networks of MONAI that segment their own classes without a prompt, by sliding windows over the whole volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import DynUNet, SegResNet, UNet
from torch import nn

from ..core.errors import BadInputError
from .devices import is_out_of_memory, memory_errors_as_advice
from .segmentor import Encoding, Prediction
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


class VolumeSegmentor:
    """A 3D network with class 0 for background; implements `segmentor.Segmentor`.

    `encode` runs the network over the whole stack and keeps its class logits; `decode` answers with one foreground
    logit map a class: the class's logit against all others, log p - log(1 - p) with p from the softmax.
    roi: window size in voxels along the stack's axes; overlap: share of a window in its neighbor, 0..0.9.
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
    ) -> None:
        self.name = name
        self.classes = tuple(classes)
        self.device = device
        self.roi = roi
        self.overlap = overlap
        self.network = network.eval().requires_grad_(False).to(device)

    @torch.inference_mode()
    def encode(self, slices: np.ndarray) -> list[Encoding]:
        """Run the network over a stack (D, H, W) of float32 in 0..1; the one encoding holds (K + 1, D, H, W) logits."""
        if slices.ndim != 3 or 0 in slices.shape:
            raise BadInputError(f"volume to segment has shape {slices.shape}, expected (D, H, W) with no empty axis")
        volume = torch.from_numpy(np.ascontiguousarray(slices, dtype=np.float32))[None, None]
        windows = 4 if self.device.type == "cuda" else 1
        while True:
            try:
                logits = self._infer(volume, windows)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if windows == 1:
                    with memory_errors_as_advice(self.device, "running a 3D network on one window"):
                        raise
            windows //= 2
        if logits.shape[1] != len(self.classes) + 1:
            raise BadInputError(
                f'network "{self.name}" answers with {logits.shape[1]} channels, '
                f"expected {len(self.classes) + 1}: background and {len(self.classes)} classes"
            )
        return [Encoding(features=logits[0], shape=slices.shape)]

    def _infer(self, volume: torch.Tensor, windows: int) -> torch.Tensor:
        # windows are computed on the device, the volume and its logits stay in main memory
        inferer = SlidingWindowInferer(
            roi_size=self.roi,
            sw_batch_size=windows,
            overlap=self.overlap,
            mode="gaussian",
            sw_device=self.device,
            device=torch.device("cpu"),
        )
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            logits: torch.Tensor = inferer(volume, self.network)
        return logits.float()

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


def make_volume_segmentor(
    name: str, network: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], device: torch.device, source: str
) -> VolumeSegmentor:
    """The segmentor that the part "network" of a bundle.json describes: class, arguments, classes, roi, overlap."""
    roi, classes, overlap = network.get("roi"), network.get("classes"), network.get("overlap", 0.25)
    if not (isinstance(roi, list) and len(roi) == 3 and all(isinstance(size, int) and size > 0 for size in roi)):
        raise BadInputError(f'"roi" in {source} is {roi}, expected three positive whole numbers (voxels)')
    if not (isinstance(classes, list) and classes and all(isinstance(label, str) and label for label in classes)):
        raise BadInputError(f'"classes" in {source} is {classes}, expected the names of the foreground classes')
    if not (isinstance(overlap, (int, float)) and 0 <= overlap <= 0.9):
        raise BadInputError(f'"overlap" in {source} is {overlap}, expected 0 to 0.9')
    arguments = network.get("arguments", {})
    if not isinstance(arguments, dict):
        raise BadInputError(f'"arguments" in {source} is no object, expected the arguments of the network class')
    net = make_network(str(network.get("class")), arguments, source)
    load_strictly(net, tensors, source)
    return VolumeSegmentor(name, net, classes, (roi[0], roi[1], roi[2]), device, float(overlap))
