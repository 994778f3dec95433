"""Deferral methods: which voxels the model hands over, and how sure it is of the rest."""

from __future__ import annotations

from ...core.errors import BadInputError
from .base import DeferralMethod
from .entropy import entropy_method
from .margin import margin_method
from .tta import TestTimeAugmentation

UNTRAINED = ("margin", "entropy", "tta", "tta-confidence")
"""Methods that work with any segmentor."""

METHODS = (*UNTRAINED, "learned")
"""Every method that may be asked for; "learned" needs a bundle with a deferral head."""


def make_method(name: str) -> DeferralMethod:
    """A method that needs no training, by name; BadInputError for any other name."""
    if name == "margin":
        return margin_method()
    if name == "entropy":
        return entropy_method()
    if name in ("tta", "tta-confidence"):
        return TestTimeAugmentation(with_confidence=name == "tta-confidence")
    raise BadInputError(f'deferral method "{name}" is unknown, expected one of {", ".join(METHODS)}')
