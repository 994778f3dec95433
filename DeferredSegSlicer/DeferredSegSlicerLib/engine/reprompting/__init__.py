"""Other answers of a case's own network for one deferral region: its decoder's other masks, and a tighter box."""

from .reprompter import Reprompted, Reprompter, check_bundle

__all__ = ["Reprompted", "Reprompter", "check_bundle"]
