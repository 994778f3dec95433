"""Method "learned": the deferral that a bundle was trained for, made from the head that lies beside its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ...core.errors import BadInputError
from ...core.experts import Expert
from ..heads.stack import StackHead, StackSettings
from ..weights import load_strictly
from .base import DeferralMethod
from .routed_volume import VolumeRouter
from .stack_router import StackRouter

if TYPE_CHECKING:
    from ..bundles import Bundle


def make_learned(bundle: Bundle, experts: Sequence[Expert], device: torch.device, precision: str) -> DeferralMethod:
    """The learned method of a bundle for the experts at hand.

    The head's own "to whom" is used if its experts and those at hand have the same ids, in whatever order; otherwise
    its "whether" alone, and the experts share by their declared competence (`knows_experts`).

    Parameters
    ----------
    precision : "auto" computes in bfloat16 where the CPU does so natively, "f32" never.

    Raises
    ------
    BadInputError : the bundle has no head, or one that is damaged or of an unknown kind.
    """
    head = bundle.head
    if head is None:
        raise BadInputError(f'bundle "{bundle.id}" has no deferral head, so method "learned" cannot be used with it')
    if head["kind"] == "volume":
        return VolumeRouter(order_of_experts(head, experts))
    if head["kind"] != "stack":
        raise BadInputError(
            f'the deferral head of bundle "{bundle.id}" is for single slices (deferredseg protocol); '
            "choose method margin for a volume"
        )
    network = load_stack_head(head, bundle.head_tensors(), bundle.id)
    order = order_of_experts(head, experts)
    if order is not None:
        network.reorder_experts(order)
    half = precision == "auto" and device.type == "cpu" and computes_bfloat16()
    return StackRouter(network, device, with_shares=order is not None, half=half)


def load_stack_head(head: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], bundle: str) -> StackHead:
    """A stack head from its settings and tensors; BadInputError naming the bundle if they do not fit."""
    try:
        settings = StackSettings.from_json(dict(head.get("settings", {})))
    except ValueError as error:
        raise BadInputError(f'the deferral head of bundle "{bundle}" cannot be made: {error}') from error
    if settings.experts != len(head["experts"]):
        named = len(head["experts"])
        raise BadInputError(f'the head of bundle "{bundle}" has {settings.experts} experts, but {named} are named')
    network = StackHead(settings)
    load_strictly(network, tensors, f"head of bundle {bundle}")
    return network.eval()


def order_of_experts(head: Mapping[str, Any], experts: Sequence[Expert]) -> list[int] | None:
    """Which of the head's experts each expert at hand is, by id; None if they are not the same people."""
    known = [expert["id"] for expert in head["experts"]]
    wanted = [expert.id for expert in experts]
    return [known.index(one) for one in wanted] if sorted(known) == sorted(wanted) else None


def computes_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16; elsewhere it would be slower than float32."""
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    fast = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported is not None and supported() and fast is not None and fast())
