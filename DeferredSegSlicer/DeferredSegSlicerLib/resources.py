"""Where the files that come with the extension are: models, expert profiles, sample data."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .core.errors import BadInputError

DEFAULT_BUNDLE = "litemedsam-deferral"
"""The network that is used when nobody names one: LiteMedSAM with a learned deferral."""

_VARIABLE = "DEFERREDSEG_RESOURCES"


def find_resources() -> Path:
    """The `Resources` folder, the first that exists of these.

    The environment variable DEFERREDSEG_RESOURCES (which must be right if it is set); beside the package (Slicer's
    layout); two levels above the package (a source checkout); `share/DeferredSegSlicer` of the installation.
    Raises BadInputError naming the places when there is none.
    """
    chosen = os.environ.get(_VARIABLE)
    if chosen:
        folder = Path(chosen).expanduser()
        if not folder.is_dir():
            raise BadInputError(f'environment variable {_VARIABLE} names "{chosen}", which is not a folder')
        return folder.resolve()
    package = Path(__file__).resolve().parent
    places = [
        package.parent / "Resources",
        package.parent.parent / "Resources",
        Path(sys.prefix) / "share" / "DeferredSegSlicer" / "Resources",
    ]
    for folder in places:
        if folder.is_dir():
            return folder
    raise BadInputError(f"no Resources folder was found, looked at {', '.join(map(str, places))}; set {_VARIABLE}")
