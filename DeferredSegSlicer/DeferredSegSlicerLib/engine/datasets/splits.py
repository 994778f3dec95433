"""Who is in which split: by patient, the same on every machine, and as published where that is published."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ...core.errors import BadInputError
from .base import Split

FIRST_VALIDATION = 2
"""Place, from 0, of the first validation patient among those that do not test."""

TEST_EVERY = 5
"""Where nothing is published, every fifth patient in sorted order tests: the fifth, the tenth, ..."""


@dataclass(frozen=True)
class SplitRule:
    """How patients are divided.

    Attributes
    ----------
    validation_every : of the patients that do not test, in sorted order, every n-th validates, from the third on.

    Raises
    ------
    BadInputError : `validation_every` below 2.
    """

    validation_every: int = 5

    def __post_init__(self) -> None:
        if self.validation_every < 2:
            raise BadInputError(f"validation_every is {self.validation_every}, expected at least 2")

    def divide(self, patients: Iterable[str], tests: Collection[str]) -> dict[str, Split]:
        """The split of each patient; `tests` name those that test."""
        everyone = sorted(set(patients))
        others = [patient for patient in everyone if patient not in tests]
        validating = set(others[FIRST_VALIDATION :: self.validation_every])
        return {
            patient: "test" if patient in tests else "validation" if patient in validating else "train"
            for patient in everyone
        }


def every_fifth(patients: Iterable[str]) -> frozenset[str]:
    """The patients who test where nothing is published; none of fewer than five.

    Nothing is drawn: a seed of the training could otherwise move patients that it trained on into the test split.
    """
    return frozenset(sorted(set(patients))[TEST_EVERY - 1 :: TEST_EVERY])


def divisible_by_five(numbers: dict[str, int]) -> frozenset[str]:
    """The patients, given with their numbers, whose number is divisible by 5."""
    return frozenset(patient for patient, number in numbers.items() if number % 5 == 0)
