"""How good a bundle's deferral is on data with known labels: from images to figures, intervals and tables."""

from .record import CaseRecord, Row
from .run import Evaluation, Failure, evaluate
from .settings import DEFAULT_BUDGETS, EVALUATED, EXPERT_KINDS, EvaluationSettings

__all__ = [
    "DEFAULT_BUDGETS",
    "EVALUATED",
    "EXPERT_KINDS",
    "CaseRecord",
    "Evaluation",
    "EvaluationSettings",
    "Failure",
    "Row",
    "evaluate",
]
