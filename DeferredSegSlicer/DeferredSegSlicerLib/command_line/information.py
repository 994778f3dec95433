"""`deferredseg info`: versions, whether the device works, which bundles and accelerators are there."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from .. import __version__
from ..core.errors import DeferredSegError
from .console import output


def info(as_json: Annotated[bool, typer.Option("--json", help="Print JSON alone.")] = False) -> None:
    """Show versions, the result of a small real computation on each device, and the bundles."""
    found = gather()
    if as_json:
        print(json.dumps(found, indent=2))
        return
    console = output()
    for head, values in found.items():
        console.print(f"{head}", style="bold", markup=False)
        rows = values.items() if isinstance(values, dict) else [("", values)]
        for name, value in rows:
            console.print(f"  {name:<20} {value}", markup=False, soft_wrap=True)


def gather() -> dict[str, Any]:
    """Everything that `info` shows, as plain values."""
    found: dict[str, Any] = {"DeferredSegSlicer": {"version": __version__}}
    if find_spec("torch") is None:
        found["devices"] = {"cpu": "PyTorch is not installed: cases can be reviewed, but nothing can be segmented"}
        return found
    import torch

    from ..engine.versions import software_versions

    found["versions"] = software_versions()
    found["devices"] = {"cpu": device_state("cpu")}
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            name = torch.cuda.get_device_name(number)
            found["devices"][f"cuda:{number}"] = f"{device_state(f'cuda:{number}')} ({name})"
    else:
        found["devices"]["cuda"] = "no usable NVIDIA GPU"
    present = find_spec("openvino") is not None
    found["accelerators"] = {"openvino": "present, used on the CPU" if present else "not installed (extra: cpu)"}
    found["bundles"] = bundle_states()
    return found


def device_state(name: str) -> str:
    """What a small real convolution on the device says."""
    from ..engine.devices import resolve_device

    try:
        resolve_device(name)
    except DeferredSegError as error:
        return error.sentence
    return "works"


def bundle_states() -> dict[str, str]:
    """The shipped bundles and what is wrong with those that cannot be used."""
    from ..engine.bundles import list_bundles, load_bundle

    states = {}
    for name in list_bundles():
        try:
            bundle = load_bundle(name)
        except DeferredSegError as error:
            states[name] = error.sentence
        else:
            whole = bundle.weights.is_file()
            states[name] = f"{bundle.name}, {bundle.license}" if whole else f'lacks its weights file "{bundle.file}"'
    return states
