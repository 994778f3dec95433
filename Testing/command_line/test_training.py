"""`deferredseg train` as a user sees it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import typer
from DeferredSegSlicerLib.cli import explained
from DeferredSegSlicerLib.command_line import training
from DeferredSegSlicerLib.engine.bundles import load_bundle
from DeferredSegSlicerLib.engine.training.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]


def _load_toy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("training_toy", ROOT / "Testing" / "engine" / "training_toy.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["training_toy"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def train(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Runs the command with the toy task registered; answers with exit code, stdout and stderr."""
    monkeypatch.setitem(TASKS, "toy", _load_toy().ToyTask)
    app = typer.Typer()
    app.command("train")(training.train)

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = explained(lambda: app(args=[str(a) for a in arguments], standalone_mode=False))
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def a_config(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(f"task: toy\noutput: {tmp_path / 'bundle'}\ntraining: {{epochs: 2, device: cpu}}\n")
    return path


def test_train_writes_a_bundle_and_says_where_and_how_good(
    train: Callable[..., tuple[int, str, str]], a_config: Path, tmp_path: Path
) -> None:
    code, out, err = train(a_config)
    assert code == 0, err
    assert f'wrote bundle "{tmp_path / "bundle"}"' in out and "best of 2 epochs" in out and "accuracy" in out
    assert "epoch 2 of 2: loss" in err
    assert load_bundle(tmp_path / "bundle").name == "Toy"
    code, _, err = train(a_config, "--output", tmp_path / "elsewhere", "--device", "cpu")
    assert code == 0 and load_bundle(tmp_path / "elsewhere").id == "elsewhere", err


def test_the_same_command_again_does_not_train_again_unless_restarted(
    train: Callable[..., tuple[int, str, str]], a_config: Path
) -> None:
    train(a_config)
    _, _, again = train(a_config)
    assert "going on from epoch 2" in again and "loss" not in again
    _, _, restarted = train(a_config, "--restart")
    assert "epoch 1 of 2: loss" in restarted


def test_bad_input_is_one_sentence_and_exit_code_2(
    train: Callable[..., tuple[int, str, str]], a_config: Path, tmp_path: Path
) -> None:
    for arguments, complaint in (
        ((tmp_path / "none.yaml",), "does not exist"),
        ((a_config, "--device", "abacus"), 'device "abacus" is unknown'),
        ((a_config, "--output", tmp_path), "not empty and no bundle"),
    ):
        code, _, err = train(*arguments)
        assert code == 2 and len(err.strip().splitlines()) == 1 and complaint in err, err


def test_a_missing_package_is_named_with_what_to_install(
    train: Callable[..., tuple[int, str, str]], a_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if ".engine.training.config" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "yaml", None)
    code, _, err = train(a_config)
    assert code == 2 and 'the package "yaml"' in err and "deferred-seg-slicer[engine,train]" in err


def test_the_command_imports_nothing_heavy_until_it_runs() -> None:
    code = (
        "import sys, DeferredSegSlicerLib.command_line.training;"
        "print([m for m in ('torch', 'pydantic', 'yaml', 'tensorboard') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "DeferredSegSlicer", capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
