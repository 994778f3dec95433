"""Versions of the software that made a case, for the record."""

from __future__ import annotations

import platform
from importlib import metadata

PACKAGES = (
    "deferred-seg-slicer",
    "numpy",
    "SimpleITK",
    "torch",
    "segment-anything",
    "timm",
    "monai",
    "openvino",
    "safetensors",
)
"""What can change a result."""


def software_versions() -> dict[str, str]:
    """Python and every installed package of `PACKAGES`, by name. Nothing about the machine or its user."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
