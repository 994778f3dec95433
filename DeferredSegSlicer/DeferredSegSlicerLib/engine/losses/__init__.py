"""Losses that teach a routing head when to defer and to whom; one idea a module, equations in the docstrings."""

from .budget import budget_hinge, soft_deferral
from .coherence import edge_aware_total_variation
from .collaboration import consistent_collaboration, released_collaboration
from .guidance import released_guidance
from .load_balance import conditional_load_balance, conditional_shares, released_bounds, released_load_balance
from .segmentation import class_loss, mask_loss, released_mask_loss, soft_dice_loss
from .surrogates import decoupled_sigmoid, one_vs_all, one_vs_all_classes, realizable
from .total import ConsistentSettings, DeferralLoss, ReleasedSettings, deferral_loss
from .voxels import agents_right, masked_mean

__all__ = [
    "ConsistentSettings",
    "DeferralLoss",
    "ReleasedSettings",
    "agents_right",
    "budget_hinge",
    "class_loss",
    "conditional_load_balance",
    "conditional_shares",
    "consistent_collaboration",
    "decoupled_sigmoid",
    "deferral_loss",
    "edge_aware_total_variation",
    "mask_loss",
    "masked_mean",
    "one_vs_all",
    "one_vs_all_classes",
    "realizable",
    "released_bounds",
    "released_collaboration",
    "released_guidance",
    "released_load_balance",
    "released_mask_loss",
    "soft_deferral",
    "soft_dice_loss",
]
