"""`deferredseg segment`: from an image and prompts to a case folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.budgets import DEFAULT_BUDGET, check_share
from ..core.case import check_target, label_of, write_case
from ..core.errors import BadInputError
from ..core.experts import Expert, load_experts
from ..core.prompts import gather_structures
from ..core.structures import Structure, check_inside
from ..core.volume import Modality, Volume, read_volume
from ..core.worklist import Worklist, worklist
from ..render.scene import Scene, scene_at
from ..resources import DEFAULT_BUNDLE, find_resources
from .console import output, progress_bar, remarks
from .options import parse_window
from .summary import print_times, structure_table

if TYPE_CHECKING:
    from ..engine.pipeline import SegmentOptions


class Method(str, Enum):
    """How the deferral is decided."""

    auto = "auto"
    learned = "learned"
    margin = "margin"
    entropy = "entropy"
    tta = "tta"
    tta_confidence = "tta-confidence"


class ImageKind(str, Enum):
    """What the scan is."""

    CT = "CT"
    MR = "MR"
    other = "other"


class Precision(str, Enum):
    """In which precision the encoder computes on the CPU."""

    auto = "auto"
    f32 = "f32"


class Encoded(str, Enum):
    """What the network sees of a slice."""

    auto = "auto"
    slice = "slice"
    crop = "crop"


@dataclass(frozen=True)
class Prompts:
    """Where the boxes come from: `--box` texts, a prompts file, a segmentation and those of its segments that count."""

    boxes: tuple[str, ...] = ()
    file: Path | None = None
    segmentation: Path | None = None
    segments: tuple[str, ...] = ()

    @property
    def given(self) -> bool:
        """Whether there is any prompt."""
        return bool(self.boxes or self.file or self.segmentation or self.segments)


@dataclass(frozen=True)
class Job:
    """A run that may start: everything that can be checked without the network has been checked.

    Attributes
    ----------
    out : the case folder to write. budget : share of the decision zone, stored as the case's own.
    """

    volume: Volume
    structures: tuple[Structure, ...]
    experts: tuple[Expert, ...]
    options: SegmentOptions
    out: Path
    budget: float = DEFAULT_BUDGET
    overwrite: bool = False
    reference_image: bool = False


@dataclass(frozen=True, eq=False)
class Finished:
    """What a run made, for the table at its end; the maps themselves are in the case by then.

    timings : seconds by stage. warnings : sentences on what the network did not find.
    """

    timings: dict[str, float]
    warnings: tuple[str, ...]
    work: Worklist
    scene: Scene


def segment(
    image: Annotated[
        Path,
        typer.Argument(metavar="IMAGE", help="NRRD, NIfTI or MetaImage file, or a DICOM folder.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="CASE", help="The case folder to write.", show_default=False)
    ],
    box: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=R0,A0,S0,R1,A1,S1", help="A structure and its box in RAS mm; may be repeated."),
    ] = None,
    prompts: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Structures and boxes from a file.")] = None,
    from_segmentation: Annotated[
        Path | None, typer.Option(metavar="SEG", help="Boxes around the segments of a segmentation.")
    ] = None,
    segments: Annotated[
        list[str] | None,
        typer.Option("--segment", metavar="NAME", help="This segment of it alone; may be repeated."),
    ] = None,
    bundle: Annotated[str, typer.Option(metavar="NAME|DIR", help="The network.")] = DEFAULT_BUNDLE,
    method: Annotated[
        Method, typer.Option(help="How the deferral is decided; auto is learned where the network can.")
    ] = Method.auto,
    budget: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the decision zone to defer, 0 to 1.")
    ] = DEFAULT_BUDGET,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where the network runs.")] = "auto",
    precision: Annotated[
        Precision, typer.Option(help="On the CPU: bfloat16 in part where that is faster, or float32 throughout.")
    ] = Precision.auto,
    window: Annotated[
        str | None, typer.Option(metavar="LEVEL,WIDTH", help="Gray window; CT 40,400 and MR percentiles by default.")
    ] = None,
    view: Annotated[Encoded, typer.Option(help="Encode whole slices, or crops around the boxes.")] = Encoded.auto,
    series: Annotated[
        str | None, typer.Option(metavar="NUMBER|UID", help="Which series of a DICOM folder with several.")
    ] = None,
    modality: Annotated[ImageKind | None, typer.Option(help="What the scan is, if the file does not say.")] = None,
    experts: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Expert profiles instead of the default three.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a case that nobody has reviewed.")] = False,
    reference_image: Annotated[
        bool,
        typer.Option("--reference-image", help="Keep only the image's path and checksum in the case, not its voxels."),
    ] = False,
) -> None:
    """Segment structures and decide voxel by voxel what the model hands to which expert."""
    job = prepare(
        image,
        out,
        Prompts(tuple(box or ()), prompts, from_segmentation, tuple(segments or ())),
        bundle=bundle,
        method=method.value,
        budget=budget,
        device=device,
        precision=precision.value,
        window=window,
        view=view.value,
        series=series,
        modality=modality.value if modality else None,
        experts=experts,
        overwrite=overwrite,
        reference_image=reference_image,
    )
    print_finished(run(job))
    remarks().print(f'wrote case "{out}"', markup=False, soft_wrap=True)


def prepare(
    image: Path,
    out: Path,
    prompts: Prompts,
    *,
    bundle: str = DEFAULT_BUNDLE,
    method: str = "auto",
    budget: float = DEFAULT_BUDGET,
    device: str = "auto",
    precision: str = "auto",
    window: str | None = None,
    view: str = "auto",
    series: str | None = None,
    modality: Modality | None = None,
    experts: Path | None = None,
    overwrite: bool = False,
    reference_image: bool = False,
) -> Job:
    """Check everything that can be checked before the network runs, the cheapest first; read the image.

    Raises
    ------
    BadInputError : one sentence on the first thing that is wrong; nothing was written.
    DeviceError : the device is missing or does not compute.
    """
    check_share(budget)
    levels = parse_window(window)
    profiles = load_experts(experts or find_resources() / "Experts" / "default.json")
    check_target(out, overwrite)
    structures: list[Structure] = []
    if prompts.given:
        structures = gather_structures(prompts.boxes, prompts.file, prompts.segmentation, prompts.segments)
    from ..engine.bundles import load_bundle
    from ..engine.devices import resolve_device
    from ..engine.pipeline import SegmentOptions

    options = SegmentOptions(bundle, method, device, levels, view, precision=precision)
    if load_bundle(bundle).needs_box and not structures:
        raise BadInputError("no structure to segment: give at least one --box, --prompts or --from-segmentation")
    resolve_device(device)
    volume = read_volume(image, series, modality)
    check_inside(structures, volume.geometry)
    return Job(volume, tuple(structures), profiles, options, out, budget, overwrite, reference_image)


def run(job: Job) -> Finished:
    """Run the network with a progress bar, write the case, and prepare its worklist at the job's budget."""
    from ..engine.pipeline import segment_volume

    with progress_bar() as show:
        made = segment_volume(job.volume, job.structures, job.experts, job.options, show)
    made = replace(made, settings={**made.settings, "budget": job.budget})
    write_case(
        job.out, job.volume, made.structures, job.experts, made.probability, made.routing, made.error,
        made.settings["method"], made.settings, made.model, made.versions, job.overwrite, job.reference_image,
    )  # fmt: skip
    work = worklist(
        made.probability, made.routing, made.error, made.structures, job.experts, job.volume.geometry, made.settings
    )
    timings, settings = made.timings, made.settings
    label = label_of(made.probability)
    del made  # the maps of a large scan are gigabytes, and the pictures need only the label and the worklist
    scene = scene_at(work, job.budget, job.volume.image, label, settings)
    return Finished(timings, tuple(settings.get("warnings", ())), work, scene)


def print_finished(finished: Finished, dice: dict[str, float] | None = None) -> None:
    """The table of structures, the times, and what is worth a warning."""
    output().print(structure_table(finished.scene, finished.work, dice))
    print_times(output(), finished.timings)
    for warning in (*finished.warnings, finished.scene.note):
        if warning:
            remarks().print(f"warning: {warning}", markup=False, soft_wrap=True)
