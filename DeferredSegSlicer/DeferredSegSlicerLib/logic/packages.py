"""The Python packages that the worker needs, and which of them this interpreter has."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from dataclasses import dataclass

from ..core.errors import BadInputError
from ..resources import find_resources

REQUIREMENTS_FILE = "requirements.txt"

NEEDED_TO_START = ("torch", "torchvision", "segment-anything", "timm", "safetensors")
"""Without one of these the worker cannot start; the others are needed by some models alone."""

PROTECTED = ("numpy", "SimpleITK", "vtk", "requests")
"""What Slicer brought and lives on: never installed, upgraded or downgraded by us."""


@dataclass(frozen=True)
class Requirement:
    """A package and the lowest version that will do."""

    name: str
    floor: str

    def __str__(self) -> str:
        return f"{self.name}>={self.floor}"


@dataclass(frozen=True)
class PackageState:
    """A required package as it is installed here.

    `installed` is its version, or None if it is not there.
    """

    requirement: Requirement
    installed: str | None

    @property
    def name(self) -> str:
        """What pip calls it."""
        return self.requirement.name

    @property
    def satisfied(self) -> bool:
        """Whether it is there and new enough."""
        return self.installed is not None and _release(self.installed) >= _release(self.requirement.floor)


TORCH = Requirement("torch", "2.1")
TORCHVISION = Requirement("torchvision", "0.16")
"""Both come through Slicer's PyTorch extension, which knows which build fits the graphics card."""


def other_requirements() -> tuple[Requirement, ...]:
    """What is needed besides PyTorch, from Resources/requirements.txt.

    Raises BadInputError for a line that is not `name>=version`.
    """
    path = find_resources() / REQUIREMENTS_FILE
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text:
            match = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]*)>=([0-9][0-9.]*)", text)
            if match is None:
                raise BadInputError(f'"{path}" has the line "{text}", expected name>=version')
            found.append(Requirement(match[1], match[2]))
    return tuple(found)


def all_requirements() -> tuple[Requirement, ...]:
    """PyTorch first, since the others would drag it in."""
    return (TORCH, TORCHVISION, *other_requirements())


def package_states() -> tuple[PackageState, ...]:
    """Every requirement and what is installed in this very interpreter; nothing is imported."""
    importlib.invalidate_caches()
    return tuple(PackageState(r, installed_version(r.name)) for r in all_requirements())


def unsatisfied() -> tuple[Requirement, ...]:
    """Requirements that this interpreter lacks or has too old."""
    return tuple(state.requirement for state in package_states() if not state.satisfied)


def missing_to_start() -> tuple[str, ...]:
    """Names of packages without which a worker cannot start in this interpreter."""
    importlib.invalidate_caches()
    return tuple(name for name in NEEDED_TO_START if installed_version(name) is None)


def installed_version(name: str) -> str | None:
    """Version of an installed package, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def pip_command(python: str) -> str:
    """A command line that installs everything into another interpreter."""
    wanted = " ".join(f'"{requirement}"' for requirement in all_requirements())
    return f'"{python}" -m pip install {wanted}'


def pins_of_protected(more: tuple[str, ...] = ()) -> str:
    """Text of a pip constraints file that keeps Slicer's own packages, and `more`, at the versions they have."""
    lines = [(name, installed_version(name)) for name in (*PROTECTED, *more)]
    return "".join(f"{name}=={version}\n" for name, version in lines if version is not None)


def _release(version: str) -> tuple[int, ...]:
    """The numbers before any letter or "+": 2.9.0+cu126 is (2, 9, 0); zeros at the end do not count."""
    match = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    numbers = [int(part) for part in match[0].split(".")] if match else [0]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
