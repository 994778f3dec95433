"""Bundles of 2D networks with a head of kind "slice": opening their base, and routing a slice as a user would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..core.errors import BadInputError
from .bundles import Bundle, sha256_of
from .cenet import CENet
from .slice_nets import PlainSliceNet, SamSliceNet, SliceHeadSettings, SliceNet, leading_agent
from .weights import load_strictly, read_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .datasets import Dataset

PLAIN_FAMILY = "monai"
"""Family in bundle.json of 2D networks that need no prompt: the one whose bundles are never asked for a box."""

PLAIN_CLASSES = ("CENet",)
"""Classes of such networks."""

KIND = "slice"
"""Of the head in bundle.json."""


@dataclass(frozen=True)
class RoutedSlice:
    """What a network says of one slice, (S, S) each.

    probability : of foreground, float32. leader : uint8, the agent that decides, experts first, model last.
    deferral : probability of any expert, float32.
    """

    probability: NDArray[np.float32]
    leader: NDArray[np.uint8]
    deferral: NDArray[np.float32]


class SliceRouter:
    """A slice bundle at work.

    expert_names, expert_ids : in the order of the agents. trained_with : what the training recorded of its experts
    ("simulated" and "count", or "readings") and of its patients ("validation_every" by kind of data).
    """

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        head = slice_head_of(bundle)
        self.bundle, self.device = bundle, device
        self.settings = SliceHeadSettings.of_json(head["settings"])
        self.expert_names = tuple(str(expert["name"]) for expert in head["experts"])
        self.expert_ids = tuple(str(expert["id"]) for expert in head["experts"])
        self.trained_with: Mapping[str, Any] = head["settings"].get("trained_with", {})
        if len(self.expert_ids) != self.settings.experts:
            raise BadInputError(
                f'bundle "{bundle.id}" names {len(self.expert_ids)} experts, its head has {self.settings.experts}'
            )
        path = bundle.folder / str(head["file"])
        if not path.is_file() or sha256_of(path) != head.get("sha256"):
            raise BadInputError(f'"{path}" of bundle "{bundle.id}" is missing, damaged or exchanged')
        self.net = make_slice_net(bundle, self.settings)
        self.net.load_head(read_weights(path), str(path))
        self.net.eval().requires_grad_(False).to(device)

    def open_data(self, kind: str, folder: Path) -> Dataset:
        """A data set with this bundle's own validation patients; who tests depends on the data alone."""
        from .datasets import open_dataset

        every = self.trained_with.get("validation_every", {}).get(kind, 5)
        return open_dataset(kind, folder, int(every))

    @torch.inference_mode()
    def route(self, image: NDArray[np.float16], box: NDArray[np.float32] | None) -> RoutedSlice:
        """Segment and route one slice, batch 1.

        Parameters
        ----------
        image : (1 or 3, S, S) in 0..1. box : (4,) x0, y0, x1, y1 in its pixels; not looked at by nets without prompts.
        """
        pixels = three_channels(torch.from_numpy(np.asarray(image))[None]).to(self.device)
        boxes = None if box is None or not self.net.prompted else torch.from_numpy(box)[None].to(self.device)
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            answer = self.net(pixels, boxes)
        leader = leading_agent(answer.routing, (pixels.shape[2], pixels.shape[3]))
        return RoutedSlice(
            torch.sigmoid(answer.logits[0].float()).cpu().numpy(),
            leader[0].to(torch.uint8).cpu().numpy(),
            answer.routing.deferral()[0].cpu().numpy(),
        )


def slice_head_of(bundle: Bundle) -> Mapping[str, Any]:
    """The head's description; BadInputError unless it is of kind "slice" and complete."""
    head = bundle.head
    if head is None or head.get("kind") != KIND:
        found = "no head" if head is None else f'a head of kind "{head.get("kind")}"'
        raise BadInputError(f'bundle "{bundle.id}" has {found}, expected one of kind "{KIND}" (task "slices")')
    if not isinstance(head.get("settings"), dict) or not isinstance(head.get("experts"), list) or "file" not in head:
        raise BadInputError(f'the head of bundle "{bundle.id}" lacks settings, experts or file')
    return head


def make_slice_net(bundle: Bundle, settings: SliceHeadSettings, fresh_mask_mlps: bool = False) -> SliceNet:
    """A bundle's segmentor with a new head; the bundle's own head, if it has one, is not looked at.

    Raises
    ------
    BadInputError : a family that does not segment slices, or weights that do not fit or were exchanged.
    """
    check_slice_family(bundle)
    if not bundle.weights.is_file() or sha256_of(bundle.weights) != bundle.sha256:
        raise BadInputError(f'weights "{bundle.weights}" of bundle "{bundle.id}" are missing, damaged or exchanged')
    tensors, source = read_weights(bundle.weights), str(bundle.weights)
    if bundle.family == "litemedsam":
        from .litemedsam import INPUT_SIZE, load_litemedsam

        return SamSliceNet(load_litemedsam(tensors, source), INPUT_SIZE, settings, fresh_mask_mlps)
    if bundle.family == "sam":
        from .sam_vit import load_sam

        size = int(bundle.network.get("input_size", 1024))
        return SamSliceNet(load_sam(tensors, source, size), size, settings, fresh_mask_mlps)
    net = make_plain_net(bundle.network)
    load_strictly(net, tensors, source)
    return PlainSliceNet(net, settings)


def check_slice_family(bundle: Bundle) -> None:
    """Raise BadInputError unless the bundle segments 2D slices."""
    plain = bundle.family == PLAIN_FAMILY and bundle.network.get("class") in PLAIN_CLASSES
    if bundle.family not in ("litemedsam", "sam") and not plain:
        raise BadInputError(
            f'bundle "{bundle.id}" of family "{bundle.family}" does not segment slices; expected LiteMedSAM, '
            f"SAM ViT-B or a trained {' or '.join(PLAIN_CLASSES)}"
        )


def make_plain_net(network: Mapping[str, Any]) -> nn.Module:
    """An untrained network of "class" and "arguments", with one foreground logit; BadInputError if unknown."""
    arguments = dict(network.get("arguments", {}))
    if network.get("class") not in PLAIN_CLASSES:
        raise BadInputError(f'2D network "{network.get("class")}" is unknown, expected {", ".join(PLAIN_CLASSES)}')
    try:
        return CENet(1, **arguments)
    except (TypeError, RuntimeError, ValueError) as error:
        raise BadInputError(f"arguments {arguments} do not fit a CENet: {error}") from error


def three_channels(images: torch.Tensor) -> torch.Tensor:
    """(B, 1 or 3, S, S) as float32 (B, 3, S, S)."""
    return images.float().expand(-1, 3, -1, -1).contiguous()
