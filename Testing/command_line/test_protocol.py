"""The `protocol` command: what it refuses before a network is loaded, and what it writes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import typer
from DeferredSegSlicerLib.cli import app
from DeferredSegSlicerLib.command_line.protocol import protocol
from DeferredSegSlicerLib.core.geometry import Geometry
from DeferredSegSlicerLib.engine import slice_router
from DeferredSegSlicerLib.engine.bundle_writer import write_bundle
from DeferredSegSlicerLib.engine.slice_nets import SliceHeadSettings

CENET = {"class": "CENet", "arguments": {"encoder": "pvt_v2_b0"}, "classes": ["foreground"]}


@pytest.fixture(autouse=True)
def the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is there, whether the command line already lists it or not."""
    commands = [*app.registered_commands]
    if "protocol" not in [command.name for command in commands]:
        extra = typer.Typer()
        extra.command("protocol")(protocol)
        commands += extra.registered_commands
    monkeypatch.setattr(app, "registered_commands", commands)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two sarcoma patients with one CT each, the second of the test split."""
    grid = Geometry((24, 20, 3), (1.0, 1.0, 3.0))
    for name in ("STS_001", "STS_005"):
        folder = tmp_path / "sts" / name
        folder.mkdir(parents=True)
        truth = np.zeros(grid.shape, np.uint8)
        truth[:2, 5:12, 6:15] = 1
        image = (np.random.default_rng(1).normal(0, 20, grid.shape) + 100 * truth - 20).astype(np.int16)
        for what, voxels in (("image", image), ("mask", truth)):
            sitk.WriteImage(grid.apply_to(sitk.GetImageFromArray(voxels)), str(folder / f"CT_{what}.nii.gz"))
    return tmp_path / "sts"


def write_slice_bundle(folder: Path, seed: int) -> Path:
    """An untrained CENet on slices of 32 pixels with an untrained head for two simulated readers."""
    import torch

    torch.manual_seed(seed)
    settings = SliceHeadSettings(experts=2, size=32, width=4, dilations=(1,))
    net = slice_router.PlainSliceNet(slice_router.make_plain_net(CENET), settings)
    trained_with = {"simulated": "correlated", "count": 2, "validation_every": {"sts": 5}}
    description: dict[str, Any] = {
        "id": folder.name,
        "name": folder.name,
        "family": slice_router.PLAIN_FAMILY,
        "license": "CC0",
        "network": CENET,
        "head": {
            "kind": "slice",
            "mode": "consistent",
            "experts": [{"id": "lesion-extent", "name": "lesion extent"}, {"id": "b", "name": "b"}],
            "settings": {**settings.to_json(), "trained_with": trained_with},
        },
    }
    return write_bundle(folder, description, net.base_tensors(), net.head_tensors(), "A test.").folder


def test_a_bundle_for_each_seed_gives_tables_that_say_that_experts_are_simulated(
    deferredseg: Callable[..., Any], data: Path, tmp_path: Path
) -> None:
    bundles = [write_slice_bundle(tmp_path / f"seed-{seed}", seed) for seed in (1, 2)]
    out = tmp_path / "out"
    each = [part for bundle in bundles for part in ("--bundle", bundle)]
    ran = deferredseg("protocol", *each, "--data", f"sts={data}", "-o", out, "--seeds", "1,2", "--device", "cpu")
    assert ran.code == 0, ran.err
    assert "System" in ran.out and "Oracle routing" in ran.out
    text = (out / "protocol.md").read_text(encoding="utf-8")
    assert "experts are simulated" in text and "`seed-1` with 1, `seed-2` with 2" in text and "2 slices" in text
    with (out / "slices.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert {line["slice"] for line in lines} == {"sts/STS_005/CT/0", "sts/STS_005/CT/1"}
    assert {line["bundle"] for line in lines} == {"seed-1", "seed-2"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--bundle", "litemedsam", "--data", "sts={data}"], 'bundle "litemedsam" has no head'),
        (["--bundle", "litemedsam", "--data", "{data}"], "is not KIND=FOLDER"),
        (["--bundle", "litemedsam", "--data", "sts={data}/none"], "does not exist"),
        (["--bundle", "litemedsam", "--data", "sts={data}", "--seeds", "one"], "no list of whole numbers"),
        (["--bundle", "nobody", "--data", "sts={data}"], 'bundle "nobody" is neither known'),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_sentence_and_nothing_is_written(
    deferredseg: Callable[..., Any], data: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    ran = deferredseg("protocol", *(a.format(data=data) for a in arguments), "-o", tmp_path / "out")
    assert ran.code == 2 and sentence in ran.sentence
    assert not (tmp_path / "out").exists()


def test_a_damaged_head_is_refused(deferredseg: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    bundle = write_slice_bundle(tmp_path / "bundle", 1)
    head = bundle / "head.safetensors"
    stored = head.read_bytes()
    head.write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
    ran = deferredseg("protocol", "--bundle", bundle, "--data", f"sts={data}", "-o", tmp_path / "out")
    assert ran.code == 2 and "damaged or exchanged" in ran.sentence
