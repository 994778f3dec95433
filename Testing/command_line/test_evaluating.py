"""`deferredseg evaluate` on a small folder in the layout of the sarcoma data, and what it refuses."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import typer
from DeferredSegSlicerLib.cli import explained
from DeferredSegSlicerLib.command_line import evaluating
from DeferredSegSlicerLib.core.geometry import Geometry

LIBRARY = Path(__file__).resolve().parents[2] / "DeferredSegSlicer"
GRID = Geometry((64, 60, 6), (1.5, 1.5, 4.0), (-48.0, -45.0, 0.0))
PLOTS = {"errors_caught.png", "risk_coverage.png", "reliability.png", "expert_load.png", "system_dice.png"}


@pytest.fixture
def sarcomas(tmp_path: Path) -> Path:
    """Two test patients with a CT of six slices each: a bright ball in fat and noise."""
    for number, radius in ((5, 14.0), (10, 10.0)):
        folder = tmp_path / "sts" / f"STS_{number:03d}"
        folder.mkdir(parents=True)
        k, j, i = np.indices(GRID.shape)
        away = np.linalg.norm(GRID.ras_of(np.stack([i, j, k], axis=-1)) - (0, 0, 10), axis=-1)
        noise = np.random.default_rng(number).normal(0, 12, GRID.shape)
        for name, values in (("image", np.where(away < radius + 1.5, 60, -90) + noise), ("mask", away < radius)):
            image = sitk.GetImageFromArray(values.astype(np.int16 if name == "image" else np.uint8))
            sitk.WriteImage(GRID.apply_to(image), str(folder / f"CT_{name}.nii.gz"))
    return tmp_path / "sts"


@pytest.fixture
def evaluate(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process; gives exit code, stdout and stderr."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command("evaluate")(evaluating.evaluate)
    app.callback()(lambda: None)

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = explained(lambda: app(args=["evaluate", *map(str, arguments)], standalone_mode=False))
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_two_patients_are_evaluated_with_the_shipped_network_and_a_second_call_segments_nothing(
    evaluate: Callable[..., tuple[int, str, str]], sarcomas: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    methods = ("--methods", "learned,margin,entropy,random,oracle")
    code, text, remarks = evaluate("--data", f"sts={sarcomas}", "-o", out, *methods)
    assert code == 0, remarks
    assert "2 images of 2 patients" in text and "Experts are simulated" in text
    assert "left out" not in remarks
    assert {path.name for path in out.iterdir()} == {
        "cases",
        "cases.csv",
        "summary.csv",
        "summary.md",
        "config.json",
    } | PLOTS
    assert {path.name for path in (out / "cases").iterdir()} == {"STS_005_CT.json", "STS_010_CT.json"}

    cases = rows_of(out / "cases.csv")
    expected = {"model", "learned", "margin", "entropy", "random", "oracle", "expert:boundary"}
    assert {row["method"] for row in cases} >= expected
    value = {(r["case"], r["method"], r["to_whom"], r["budget"], r["figure"]): r["value"] for r in cases}
    for case in ("STS_005/CT", "STS_010/CT"):
        model = float(value[case, "model", "", "", "dice"])
        assert 0.5 < model < float(value[case, "oracle", "oracle", "0.1", "dice"])
        assert float(value[case, "random", "", "0.1", "errors_caught"]) == pytest.approx(0.1, abs=0.001)
    summary = rows_of(out / "summary.csv")
    mean = next(
        float(r["estimate"])
        for r in summary
        if (r["group"], r["method"], r["figure"], r["pooling"]) == ("all", "margin", "auroc", "mean of cases")
    )
    assert mean == pytest.approx(
        np.mean([float(value[case, "margin", "", "", "auroc"]) for case in ("STS_005/CT", "STS_010/CT")]), abs=1e-5
    )
    assert {row["experts"] for row in cases + summary} == {"simulated"}
    report = (out / "summary.md").read_text(encoding="utf-8")
    for words in ("# Evaluation of LiteMedSAM", "Experts are simulated", "Not a medical device", "permutation"):
        assert words in report
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert config["bundle"]["id"] == "litemedsam-deferral" and len(config["bundle"]["sha256"]) == 64
    assert config["settings"]["seed"] == 2027 and config["data"][0]["images"] == ["STS_005/CT", "STS_010/CT"]
    assert not list(out.rglob(".writing-*"))

    def never(*_: Any) -> Any:
        raise AssertionError("nothing is left to segment")

    monkeypatch.setattr("DeferredSegSlicerLib.engine.bundles.Bundle.make_segmentor", never)
    before = (out / "summary.md").read_bytes()
    code, _, remarks = evaluate("--data", f"sts={sarcomas}", "-o", out, *methods)
    assert code == 0 and "2 finished images were kept" in remarks
    assert (out / "summary.md").read_bytes() == before

    # One of two cannot be read: the other is evaluated, the failure is named, and the exit code says so.
    (sarcomas / "STS_010" / "CT_mask.nii.gz").write_bytes(b"no image")
    (out / "cases" / "STS_010_CT.json").unlink()
    code, text, remarks = evaluate("--data", f"sts={sarcomas}", "-o", out, *methods)
    assert code == 2 and "1 image of 1 patient" in text
    assert "failed: STS_010/CT" in remarks and "STS_010/CT" in (out / "summary.md").read_text(encoding="utf-8")


def test_bad_options_are_refused_in_one_sentence_before_anything_is_written(
    evaluate: Callable[..., tuple[int, str, str]], sarcomas: Path, tmp_path: Path
) -> None:
    data = ("--data", f"sts={sarcomas}")
    out = tmp_path / "out"
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("mine")
    for arguments, complaint in (
        (("--data", sarcomas, "-o", out), "is not KIND=FOLDER"),
        (("--data", f"stars={sarcomas}", "-o", out), '"stars"'),
        ((*data, "-o", out, "--methods", "margin,guess"), '"guess" cannot be evaluated'),
        ((*data, "-o", out, "--budgets", "ten"), "not numbers"),
        ((*data, "-o", out, "--split", "train"), 'no image in split "train"'),
        ((*data, "-o", out, "--only", "STS_099"), "no image called STS_099"),
        ((*data, "-o", out, "--device", "abacus"), 'device "abacus"'),
        ((*data, "-o", out, "--bundle", "none"), 'bundle "none"'),
        ((*data, "-o", out, "--bundle", "litemedsam", "--methods", "learned,random"), "no deferral head"),
        ((*data, "-o", full, "--methods", "margin"), "not empty and no evaluation"),
        ((*data, "-o", full / "thesis.txt"), "is a file"),
    ):
        code, _, err = evaluate(*arguments)
        assert code == 2 and len(err.strip().splitlines()) == 1 and complaint in err, err
    assert not out.exists() and [path.name for path in full.iterdir()] == ["thesis.txt"]


def test_the_command_imports_nothing_heavy_until_it_runs() -> None:
    code = (
        "import sys, DeferredSegSlicerLib.command_line.evaluating;"
        "print([m for m in ('torch', 'matplotlib', 'monai', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=LIBRARY, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_figures_in_the_tables_are_numbers_or_empty(
    evaluate: Callable[..., tuple[int, str, str]], sarcomas: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from DeferredSegSlicerLib.engine.segmentor import Prediction

    class Nothing:
        """Finds nothing anywhere."""

        name, needs_box, whole_volume, classes, batch = "nothing", True, False, (), 1

        def __init__(self) -> None:
            import torch

            self.torch, self.device = torch, torch.device("cpu")

        def encode(self, slices: np.ndarray) -> list:
            from DeferredSegSlicerLib.engine.segmentor import Encoding

            return [Encoding(self.torch.zeros(1, 1, *s.shape), s.shape) for s in slices]

        def decode(self, encoding: Any, boxes: np.ndarray | None, with_features: bool = False) -> Prediction:
            return Prediction(self.torch.full((1, *encoding.shape), -20.0))

    monkeypatch.setattr("DeferredSegSlicerLib.engine.bundles.Bundle.make_segmentor", lambda *_: Nothing())
    code, _, remarks = evaluate(
        "--data", f"sts={sarcomas}", "-o", tmp_path / "out", "--methods", "margin,random,oracle"
    )
    assert code == 0, remarks
    for row in rows_of(tmp_path / "out" / "cases.csv"):
        assert row["value"] == "" or not math.isnan(float(row["value"]))
    report = (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")
    assert "nan" not in report.lower().split() and "nothing was found" in report
