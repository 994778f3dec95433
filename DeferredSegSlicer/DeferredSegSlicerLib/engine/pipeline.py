"""From a volume and prompts to probability, routing and error maps on the input grid."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import BadInputError
from ..core.experts import Expert, check_experts
from ..core.structures import Structure, check_inside, make_structures
from ..core.volume import Volume
from ..core.zone import ZONE_BAND_MM, ZONE_FLOOR, decision_zone
from ..resources import DEFAULT_BUNDLE
from .bundles import Bundle, load_bundle
from .deferral import METHODS, make_method
from .deferral.base import FOREGROUND, DeferralMethod
from .deferral.experts_routing import BOUNDARY_MM, SHARPNESS, route_by_competence, route_by_shares
from .deferral.learned import make_learned
from .devices import resolve_device, return_freed_memory
from .maps import Maps
from .progress import Progress, ProgressMeter
from .prompted import Prompt, PromptedRun
from .propagate import Propagation
from .segmentor import Segmentor
from .versions import software_versions
from .views import VIEWS, Display, choose_view, whole_slice
from .whole_volume import segment_slices, segment_stack
from .windowing import Window, choose_window

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

__all__ = ["Progress", "SegmentOptions", "Segmented", "segment_volume", "segment_with"]


PRECISIONS = ("auto", "f32")
"""Names of the ways to compute that may be asked for."""


@dataclass(frozen=True)
class SegmentOptions:
    """What to compute, and with what.

    bundle : name of a shipped bundle or path of a bundle folder.
    method : one of `deferral.METHODS`, or "auto" for the best that the bundle can do.
    device : "auto", "cpu", "cuda" or "cuda:N".
    window : level and width in the volume's units (HU), or None for the default of the modality or the bundle.
    view : "auto", "slice" (encode whole slices) or "crop" (encode a crop around the box).
    propagation : how the box moves from slice to slice.
    precision : "auto" (mixed where the CPU computes bfloat16) or "f32"; for LiteMedSAM's encoder on the CPU.

    Raises
    ------
    BadInputError : a method, a view or a precision that does not exist, or a window without width.
    """

    bundle: str | Path = DEFAULT_BUNDLE
    method: str = "auto"
    device: str = "auto"
    window: tuple[float, float] | None = None
    view: str = "auto"
    propagation: Propagation = field(default_factory=Propagation)
    precision: str = "auto"

    def __post_init__(self) -> None:
        if self.method not in ("auto", *METHODS):
            known = ", ".join(("auto", *METHODS))
            raise BadInputError(f'deferral method "{self.method}" is unknown, expected one of {known}')
        if self.view not in VIEWS:
            raise BadInputError(f'view "{self.view}" is unknown, expected one of {", ".join(VIEWS)}')
        if self.precision not in PRECISIONS:
            raise BadInputError(f'precision "{self.precision}" is unknown, expected one of {", ".join(PRECISIONS)}')
        if self.window is not None:
            Window.of_level(*self.window)


@dataclass(frozen=True)
class Segmented:
    """The result, voxel for voxel on the grid of the volume.

    Attributes
    ----------
    probability : uint8 [s, k, j, i], foreground probability of every structure times 255.
    routing : uint8 [a, k, j, i], experts first, model last, adding up to exactly 255.
    error : uint8 [k, j, i], probability that the model's label is wrong times 255, as the method sees it.
    structures : as given; for nets without prompts one per class.
    settings : all options, resolved, and "warnings" (sentences). model : of the bundle. versions : of the software.
    timings : seconds by stage.
    """

    probability: NDArray[np.uint8]
    routing: NDArray[np.uint8]
    error: NDArray[np.uint8]
    structures: tuple[Structure, ...]
    settings: dict[str, Any]
    model: dict[str, Any]
    versions: dict[str, str]
    timings: dict[str, float]


def segment_volume(
    volume: Volume,
    structures: Sequence[Structure],
    experts: Sequence[Expert],
    options: SegmentOptions = SegmentOptions(),
    progress: Callable[[Progress], None] | None = None,
    make: Callable[[Bundle, torch.device, str], Segmentor] = Bundle.make_segmentor,
) -> Segmented:
    """Load a bundle and segment a volume with deferral.

    Nothing is written. Input is checked before the weights are loaded.

    Parameters
    ----------
    progress : told after every slice; what it raises abandons the run.
    make : makes the segmentor of a bundle on a device; a worker keeps the last one here for the next job.

    Raises
    ------
    BadInputError : a box outside the volume (naming the structure), an unknown bundle, method or view, a structure
        without a box for a segmentor that needs one, a bundle without a head for method "learned".
    DeviceError : the device is missing, does not work or ran out of memory.
    """
    begun = time.perf_counter()
    experts = check_experts(experts)
    check_inside(structures, volume.geometry)
    meter = ProgressMeter(progress)
    meter.report("load")
    bundle = load_bundle(options.bundle)
    name = method_for(options.method, bundle, structures)
    device = resolve_device(options.device)
    method = make_learned(bundle, experts, device, options.precision) if name == "learned" else make_method(name)
    segmentor = make(bundle, device, options.precision)
    return_freed_memory()
    loaded = time.perf_counter() - begun
    default = bundle.windows.get(volume.modality)
    drawn = _draw(segmentor, method, volume, structures, options, meter, default)
    del segmentor  # its memory is as large as a large scan's routing map, which comes next
    return_freed_memory()
    result = _route(drawn, volume, experts, meter)
    del drawn
    timings = {"load": loaded, **result.timings, "total": time.perf_counter() - begun}
    warnings = [*_scope_warnings(options.method, name, bundle, structures), *result.settings["warnings"]]
    settings = {"bundle": bundle.id, **result.settings, "warnings": warnings}
    return replace(result, settings=settings, model=bundle.to_json(), timings=timings)


def segment_with(
    segmentor: Segmentor,
    method: DeferralMethod,
    volume: Volume,
    structures: Sequence[Structure],
    experts: Sequence[Expert],
    options: SegmentOptions = SegmentOptions(),
    meter: ProgressMeter | None = None,
    default_window: Mapping[str, Any] | None = None,
) -> Segmented:
    """Segment with a segmentor that is already there; see `segment_volume`. The model record has its name alone.

    default_window : the bundle's for the volume's modality, {"level", "width"} or {"percentiles"}.
    """
    experts = check_experts(experts)
    check_inside(structures, volume.geometry)
    meter = meter or ProgressMeter()
    drawn = _draw(segmentor, method, volume, structures, options, meter, default_window)
    return _route(drawn, volume, experts, meter)


@dataclass(frozen=True)
class _Drawn:
    """What the network said of the volume, and how it came to it; the network itself is no longer needed."""

    structures: tuple[Structure, ...]
    maps: Maps
    model: str
    settings: dict[str, Any]
    timings: dict[str, float]


def _draw(
    segmentor: Segmentor,
    method: DeferralMethod,
    volume: Volume,
    structures: Sequence[Structure],
    options: SegmentOptions,
    meter: ProgressMeter,
    default_window: Mapping[str, Any] | None,
) -> _Drawn:
    """Everything that needs the network."""
    begun = time.perf_counter()
    window = choose_window(
        Display.of(volume.geometry).show(volume.image), volume.modality, options.window, default_window
    )
    windowed = time.perf_counter()
    if segmentor.needs_box:
        maps, timings, chosen = _segment_prompts(segmentor, method, volume, structures, window, options, meter)
    else:
        structures = make_structures((name, None) for name in segmentor.classes)
        maps, timings, chosen = _segment_classes(segmentor, method, volume, window, meter)
    settings = {
        "method": method.name,
        "device": str(segmentor.device),
        "arithmetic": getattr(segmentor, "arithmetic", "torch f32"),
        "modality": volume.modality,
        "window": {"level": window.level, "width": window.width},
        "slicing_axis": "ijk"[volume.geometry.slicing_axis],
        **chosen,
    }
    return _Drawn(tuple(structures), maps, segmentor.name, settings, {"window": windowed - begun, **timings})


def _route(drawn: _Drawn, volume: Volume, experts: Sequence[Expert], meter: ProgressMeter) -> Segmented:
    """The decision zone and the routing map, without the network."""
    begun = time.perf_counter()
    geometry, maps = volume.geometry, drawn.maps
    meter.report("route")
    zone = decision_zone(maps.probability, geometry)
    if maps.shares is None:
        routing = route_by_competence(maps.defer, maps.probability, zone, experts, geometry)
    else:
        routing = route_by_shares(maps.defer, maps.shares, zone, geometry)
    meter.report("route")
    settings = {
        **drawn.settings,
        "routing": "competence" if maps.shares is None else "learned",
        "boundary_mm": BOUNDARY_MM,
        "competence_sharpness": SHARPNESS,
        "zone_floor": ZONE_FLOOR,
        "zone_band_mm": ZONE_BAND_MM,
        "warnings": _warnings(drawn, experts),
    }
    timings = {**drawn.timings, "route": time.perf_counter() - begun}
    timings["total"] = sum(timings.values())
    return Segmented(
        maps.probability,
        routing,
        maps.error,
        drawn.structures,
        settings,
        {"name": drawn.model},
        software_versions(),
        {stage: round(seconds, 4) for stage, seconds in timings.items()},
    )


def _segment_prompts(
    segmentor: Segmentor,
    method: DeferralMethod,
    volume: Volume,
    structures: Sequence[Structure],
    window: Window,
    options: SegmentOptions,
    meter: ProgressMeter,
) -> tuple[Maps, dict[str, float], dict[str, Any]]:
    """Maps, seconds by stage, and what was chosen for the record."""
    if not structures:
        raise BadInputError(f'segmentor "{segmentor.name}" needs a box for every structure, got no structure')
    display = Display.of(volume.geometry)
    prompts = []
    for number, structure in enumerate(structures):
        if structure.box is None:
            raise BadInputError(f'structure "{structure.name}" has no box, and segmentor "{segmentor.name}" needs one')
        box = display.box_of(*structure.box.index_range(volume.geometry))
        prompts.append(Prompt(number, box, choose_view(display, box, options.view)))
    maps = Maps(volume.geometry.shape, len(structures), display)
    slices = display.show(volume.image)
    run = PromptedRun(segmentor, slices, window, method, options.propagation, maps, meter, display.spacing)
    run.run(prompts)
    views = {
        structure.id: {"rows": prompt.view.rows, "columns": prompt.view.columns, "size": prompt.view.size}
        for structure, prompt in zip(structures, prompts, strict=True)
    }
    chosen = {
        "view": options.view,
        "views": {name: {key: list(value) for key, value in view.items()} for name, view in views.items()},
        "propagation": asdict(options.propagation),
        "slices_encoded": run.encoded,
    }
    return maps, dict(run.timings), chosen


def _segment_classes(
    segmentor: Segmentor, method: DeferralMethod, volume: Volume, window: Window, meter: ProgressMeter
) -> tuple[Maps, dict[str, float], dict[str, Any]]:
    """The same for nets without prompts."""
    display = Display.of(volume.geometry)
    slices = display.show(volume.image)
    maps = Maps(volume.geometry.shape, len(segmentor.classes), display)
    view = whole_slice(display)

    def gray(index: int) -> NDArray[np.float32]:
        return view.resampled(window.apply(slices[index]))

    segment = segment_stack if segmentor.whole_volume else segment_slices
    timings = segment(segmentor, gray, view, len(slices), method, maps, meter)
    return maps, timings, {"view": "volume" if segmentor.whole_volume else "slice"}


def method_for(name: str, bundle: Bundle, structures: Sequence[Structure]) -> str:
    """The deferral method to use: "auto" is the learned one where it was trained for all structures, else the margin.

    Raises
    ------
    BadInputError : "learned" is asked for and the bundle has no head.
    """
    if name == "auto":
        return "learned" if bundle.defers_well(structures) else "margin"
    if name == "learned" and bundle.head is None:
        raise BadInputError(f'bundle "{bundle.id}" has no deferral head, so method "learned" cannot be used with it')
    return name


def _scope_warnings(asked: str, used: str, bundle: Bundle, structures: Sequence[Structure]) -> list[str]:
    if bundle.head is None or bundle.defers_well(structures):
        return []
    others = ", ".join(f'"{one.name}"' for one in structures if not one.terminology.is_lesion)
    trained = "the learned deferral was trained on lesions alone"
    if used == "learned":
        return [f"{trained}: for {others} it may find errors worse than the softmax margin"]
    return [f"{trained}, so for {others} the softmax margin decides"] if asked == "auto" else []


def _warnings(drawn: _Drawn, experts: Sequence[Expert]) -> list[str]:
    found = [
        f'nothing was found for "{structure.name}": no voxel reaches a probability of 0.5'
        for structure, stored in zip(drawn.structures, drawn.maps.probability, strict=True)
        if stored.max() < FOREGROUND
    ]
    if drawn.settings["method"] == "learned" and drawn.maps.shares is None and drawn.maps.defer.any():
        names = ", ".join(expert.name for expert in experts)
        found.append(
            f"the deferral was not trained for these experts ({names}): where to defer is learned, "
            "to whom follows their declared competence"
        )
    return found
