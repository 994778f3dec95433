"""What the worker reads: the volume, the prompts and the experts of one job, as files in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.atomic import clear_write_errors, write_json
from ..core.case_record import IMAGE_FILE
from ..core.experts import Expert, check_experts
from ..core.nrrd import write_nrrd
from ..core.prompts import write_prompts
from ..core.structures import Structure, check_inside
from ..core.volume import Modality, Volume
from .grid import volume_of

PROMPTS_FILE = "prompts.json"
EXPERTS_FILE = "experts.json"


@dataclass(frozen=True)
class Request:
    """The files of a job and the modality of its scan, which the files do not say."""

    image: Path
    prompts: Path
    experts: Path
    modality: Modality


@dataclass(frozen=True)
class PlannedRequest:
    """A job whose inputs were checked and taken from the scene, but not written yet.

    Attributes
    ----------
    request : where the files will be.
    volume : voxels, mostly a view of the node's; structures, experts : as given.
    """

    request: Request
    volume: Volume
    structures: tuple[Structure, ...]
    experts: tuple[Expert, ...]

    def write(self) -> Request:
        """Write the files; may run in a thread, since the scene is not touched. Raises BadInputError if it cannot."""
        folder = self.request.image.parent
        with clear_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_prompts(self.request.prompts, self.structures)
        profiles = [expert.to_json() for expert in self.experts]
        write_json(self.request.experts, {"schema": 1, "experts": profiles})
        write_nrrd(self.request.image, self.volume.image, self.volume.geometry)
        return self.request


def plan_request(
    folder: Path,
    volume_node: Any,
    structures: Sequence[Structure],
    experts: Sequence[Expert],
    modality: Modality | None = None,
) -> PlannedRequest:
    """Check a job and take what it needs from the scene, in hundredths of a second; see `write_request`."""
    volume = volume_of(volume_node, modality)
    check_inside(structures, volume.geometry)
    request = Request(folder / IMAGE_FILE, folder / PROMPTS_FILE, folder / EXPERTS_FILE, volume.modality)
    return PlannedRequest(request, volume, tuple(structures), check_experts(experts))


def write_request(
    folder: Path,
    volume_node: Any,
    structures: Sequence[Structure],
    experts: Sequence[Expert],
    modality: Modality | None = None,
) -> Request:
    """Write the files of a job.

    The image has the node's voxels in the node's order and local RAS, so the case lies on the node without reversed
    axes. Each file is whole or not there. No name of a node, a patient or a file goes into them or their names.

    Parameters
    ----------
    folder : made if it is not there.
    structures : boxes in the volume's local RAS mm; each must reach the volume.
    modality : without it `modality.modality_of` tells.

    Raises
    ------
    BadInputError : a volume, a structure or an expert that cannot be used, or a folder that cannot be written.
    """
    return plan_request(folder, volume_node, structures, experts, modality).write()
