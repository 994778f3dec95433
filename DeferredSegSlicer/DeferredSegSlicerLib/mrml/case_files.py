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
from ..core.volume import Modality
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
    volume = volume_of(volume_node, modality)
    check_inside(structures, volume.geometry)
    profiles = check_experts(experts)
    with clear_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    request = Request(folder / IMAGE_FILE, folder / PROMPTS_FILE, folder / EXPERTS_FILE, volume.modality)
    write_prompts(request.prompts, structures)
    write_json(request.experts, {"schema": 1, "experts": [expert.to_json() for expert in profiles]})
    write_nrrd(request.image, volume.image, volume.geometry)
    return request
