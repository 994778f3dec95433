"""Training configurations: what is wrong in one is said with its line and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.engine.losses.total import ConsistentSettings, ReleasedSettings
from DeferredSegSlicerLib.engine.training.config import TrainingConfig
from DeferredSegSlicerLib.engine.training.config_file import LARGEST_FILE, read_config
from DeferredSegSlicerLib.engine.training.run import run_training
from DeferredSegSlicerLib.engine.training.tasks import TASKS, make_task
from pydantic import BaseModel

GOOD = """\
task: prompted
output: models/mine
data:
  - {kind: sts, folder: DATA}
segmentor: {bundle: litemedsam}
loss:
  mode: consistent
  budget: 1e-1
experts: {simulated: published-similar, count: 5}
training:
  epochs: 30
  learning_rate: 3e-4
  amp: off
options: {depth: 1e1}
"""


@pytest.fixture
def good(tmp_path: Path) -> str:
    (tmp_path / "data").mkdir()
    return GOOD.replace("DATA", str(tmp_path / "data"))


def read(tmp_path: Path, text: str) -> TrainingConfig:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return read_config(path)


def test_a_configuration_is_read_with_its_defaults(tmp_path: Path, good: str) -> None:
    config = read(tmp_path, good)
    assert config.training.learning_rate == 3e-4 and config.training.amp == "off" and config.seed == 2023
    assert config.options == {"depth": 10.0}, "1e1 is a number, not a word"
    assert config.loss.settings((3.0, 1.0, 1.0)) == ConsistentSettings(budget=0.1, spacing=(3.0, 1.0, 1.0))
    assert [reader.name for reader in config.experts.readers()] == [f"similar-{n}" for n in range(1, 6)]
    released = read(tmp_path, good.replace("mode: consistent\n  budget: 1e-1", "mode: released"))
    assert released.loss.settings() == ReleasedSettings()
    assert read(tmp_path, good.replace("experts:", "# ")).experts.simulated == "correlated"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("  epochs: 30", "  epoches: 30", 'line 11: "training.epoches" is an unknown key'),
        ("epochs: 30", "epochs: thirty", "line 11: \"training.epochs\" is 'thirty': should be a valid integer"),
        ("epochs: 30", "epochs: yes", 'line 11: "training.epochs" is True'),
        ("epochs: 30", "epochs: 0", 'line 11: "training.epochs" is 0'),
        ("3e-4", ".nan", 'line 12: "training.learning_rate" is nan'),
        ("budget: 1e-1", "cost: 1", 'line 8: "loss.cost" is an unknown key'),
        ("mode: consistent", "mode: paper", "expected consistent or released"),
        ("task: prompted", "seed: 1", '"task" is missing'),
        ("kind: sts, ", "", 'line 4: "data[0].kind" is missing'),
        ("  epochs: 30", "  epochs: 30\n  epochs: 31", 'line 12: key "epochs" is given twice'),
        ("simulated: published-similar", "readings: true, simulated: correlated", 'either "simulated" or "readings'),
        ("count: 5", "count: 6", 'line 9: "experts"'),
        ("options: {depth: 1e1}", "options: {depth: [1}", "line 14 is no YAML"),
        ("options: {depth: 1e1}", "head: &x {a: 1}\nnetwork: *x", "line 15: aliases"),
        ("options: {depth: 1e1}", "options: !!python/object/apply:os.system [echo]", "is no YAML"),
        ("options: {depth: 1e1}", "options: " + "[" * 5000, "nested too deeply"),
        ("task: prompted", "- 1", "is no YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, good: str, old: str, new: str, complaint: str) -> None:
    assert old in good
    with pytest.raises(BadInputError) as wrong:
        read(tmp_path, good.replace(old, new))
    assert complaint in wrong.value.sentence and '/config.yaml"' in wrong.value.sentence


def test_missing_files_and_folders_are_named(tmp_path: Path, good: str) -> None:
    with pytest.raises(BadInputError, match="does not exist"):
        read_config(tmp_path / "none.yaml")
    with pytest.raises(BadInputError, match=r'line 4: data folder ".*gone" does not exist'):
        read(tmp_path, good.replace(str(tmp_path / "data"), str(tmp_path / "gone")))
    with pytest.raises(BadInputError, match="holds no keys"):
        read(tmp_path, "")
    with pytest.raises(BadInputError, match="larger than"):
        read(tmp_path, good + "#" * LARGEST_FILE)


def test_an_unknown_task_lists_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="prompted, volumes, slices"):
        make_task(TrainingConfig(task="video", output=tmp_path / "b"))
    assert set(TASKS) == {"prompted", "volumes", "slices"}


def test_what_a_task_refuses_in_its_own_block_is_one_sentence(tmp_path: Path) -> None:
    class Options(BaseModel, extra="forbid"):
        depth: int = 1

    def make(config: TrainingConfig) -> object:
        return Options.model_validate(config.options)

    config = TrainingConfig.model_validate(
        {"task": "mine", "output": tmp_path / "b", "options": {"dept": 2}, "training": {"device": "cpu"}}
    )
    with pytest.raises(BadInputError, match='configuration of task "mine": "dept" is an unknown key'):
        run_training(config, task_maker=make)
