"""Training the router of the default bundle: what is recorded is what a user's run sees, and what comes out works."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.segment_boxes import label_box
from DeferredSegSlicerLib.core.structures import Box, make_structures
from DeferredSegSlicerLib.core.volume import read_volume
from DeferredSegSlicerLib.engine.bundles import Bundle, load_bundle
from DeferredSegSlicerLib.engine.datasets import open_dataset
from DeferredSegSlicerLib.engine.deferral.learned import make_learned
from DeferredSegSlicerLib.engine.deferral.stack_router import StackPass, StackRouter
from DeferredSegSlicerLib.engine.pipeline import SegmentOptions, segment_volume
from DeferredSegSlicerLib.engine.training.config import TrainingConfig
from DeferredSegSlicerLib.engine.training.run import run_training
from DeferredSegSlicerLib.engine.training.tasks.prompted import PromptedTask
from DeferredSegSlicerLib.engine.training.tasks.prompted_recording import _mirrored

NOTHING = lambda stage, done, total: None  # noqa: E731


def write_patient(folder: Path, seed: int) -> None:
    """A bright blob in noise, as CT, with its mask: 40 x 36 x 7 voxels of 2 x 2 x 4 mm, stored left-handed."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (7, 36, 40)), indexing="ij")
    inside = ((x - 0.1 * seed) / 0.5) ** 2 + (y / 0.45) ** 2 + (z / 0.8) ** 2 < 1
    voxels = generator.normal(-40, 40, inside.shape) + 110 * inside + 60 * (x > 0.4)
    for name, array in (("CT_image", voxels.astype(np.int16)), ("CT_mask", inside.astype(np.uint8))):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((2.0, 2.0, 4.0))
        image.SetDirection((-1, 0, 0, 0, 1, 0, 0, 0, 1))
        image.SetOrigin((30.0, -20.0, 5.0))
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))


@pytest.fixture(scope="module")
def some_patients(tmp_path_factory) -> Path:
    """Patients 001 and 002 train, 003 validates, 005 tests."""
    folder = tmp_path_factory.mktemp("sts")
    for number in (1, 2, 3, 5):
        write_patient(folder / f"STS_{number:03d}", number)
    return folder


def configuration(patients: Path, output: Path, **changes: object) -> TrainingConfig:
    values = {
        "task": "prompted",
        "output": output,
        "segmentor": {"bundle": "litemedsam"},
        "data": [{"kind": "sts", "folder": patients}],
        "experts": {"simulated": "specialists", "count": 2},
        "head": {"widths": [4, 8, 8, 8], "embedding_width": 4},
        "training": {"epochs": 2, "batch": 1, "device": "cpu", "learning_rate": 0.01},
        "options": {"prompts": {"variants": 2}, "draws": 2, "depth": 4, "side": 16, "cache": output.parent / "cache"},
    }
    return TrainingConfig(**{**values, **changes})


@pytest.fixture(scope="module")
def a_prepared_task(some_patients, tmp_path_factory) -> PromptedTask:
    torch.manual_seed(0)
    task = PromptedTask(configuration(some_patients, tmp_path_factory.mktemp("run") / "trained"))
    task.prepare(NOTHING)
    return task


def test_every_training_prompt_is_recorded_and_the_test_patients_are_left_alone(a_prepared_task):
    assert (
        sorted(sample.subject for sample in a_prepared_task.training_samples) == ["STS_001/CT"] * 2 + ["STS_002/CT"] * 2
    )
    assert [sample.subject for sample in a_prepared_task.validation_samples] == ["STS_003/CT"]
    assert a_prepared_task.readers == ("lesion-extent", "normal-tissue")


def test_the_router_is_trained_on_what_it_will_see(a_prepared_task, some_patients, three_experts, monkeypatch):
    """The same prompt through the product's own pipeline reaches the head with the recorded channels."""
    volume = read_volume(some_patients / "STS_003" / "CT_image.nii.gz", modality="CT")
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(some_patients / "STS_003" / "CT_mask.nii.gz")))
    low, high = volume.geometry.bounds_ras
    tight = label_box(mask, 1, volume.geometry)
    box = Box(
        tuple(np.maximum(np.array(tight.low) - 5, low + 0.01)), tuple(np.minimum(np.array(tight.high) + 5, high - 0.01))
    )
    router = StackRouter(a_prepared_task.head, torch.device("cpu"))
    caught = []
    finish = StackPass._finish
    monkeypatch.setattr(StackPass, "_finish", lambda self: (caught.append(dict(self._seen)), finish(self))[1])
    monkeypatch.setattr("DeferredSegSlicerLib.engine.pipeline.make_learned", lambda *rest: router)
    monkeypatch.setattr("DeferredSegSlicerLib.engine.pipeline.method_for", lambda *rest: "learned")
    segment_volume(volume, make_structures([("tumor", box)]), three_experts, SegmentOptions(device="cpu"))
    seen = next(slices for slices in caught if slices)
    features, embedding, known, _, _ = a_prepared_task.validation_samples[0].read()
    with torch.no_grad():
        first = router.head.project(features[None], embedding[None])
    stack = [
        torch.stack([seen[k].__dict__[name] for k in sorted(seen)], dim=1)
        for name in ("features", "embedding", "known")
    ]
    torch.testing.assert_close(stack[2].float(), known, atol=2e-3, rtol=0)
    for found, expected in zip(stack[:2], first, strict=True):
        torch.testing.assert_close(found.float(), expected[0], atol=5e-3, rtol=5e-3)


def test_who_is_wrong_is_recorded_where_the_labels_differ(a_prepared_task):
    """The share of voxels at which the model is said to be wrong is that between its mask and the human one."""
    sample = a_prepared_task.validation_samples[0]
    _, _, known, right, zone = sample.read()
    assert right.shape[0] == 3 and zone.shape == (1, *sample.shape)
    model = known[0] > 0  # log-odds
    truth = torch.where(right[-1] > 0.5, model, ~model)
    assert 0.05 < truth.float().mean() < 0.6
    center = tuple(n // 2 for n in sample.shape)
    assert bool(truth[center])
    assert not truth[:, 0].any() and not truth[:, :, 0].any()
    assert not torch.equal(sample.read(0)[3][:2], a_prepared_task.training_samples[0].read(0)[3][:2])
    first, second = (a_prepared_task.training_samples[0].read(draw)[3] for draw in (0, 1))
    assert not torch.equal(first[:2], second[:2])
    assert torch.equal(first[2], second[2])


def test_a_second_run_encodes_nothing(a_prepared_task, monkeypatch):
    monkeypatch.setattr(Bundle, "make_segmentor", lambda *rest, **named: pytest.fail("encoded again"))
    again = PromptedTask(a_prepared_task.config)
    again.prepare(NOTHING)
    folders = [sample.folder for sample in a_prepared_task.training_samples]
    assert [sample.folder for sample in again.training_samples] == folders


def test_training_writes_a_bundle_whose_masks_are_the_plain_ones(a_prepared_task, some_patients, three_experts):
    config = a_prepared_task.config
    before = load_bundle("litemedsam")
    trained = run_training(config)
    bundle = load_bundle(trained.folder)
    assert bundle.sha256 == before.sha256
    assert bundle.weights.read_bytes() == before.weights.read_bytes()
    card = (trained.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "simulated" in card.lower() and "CC BY" in card
    assert set(trained.record.validation.figures) >= {"auroc", "caught_5", "margin_caught_5", "augrc"}
    method = make_learned(bundle, three_experts[:2], torch.device("cpu"), "f32")
    assert isinstance(method, StackRouter) and not method.with_shares
    volume = read_volume(some_patients / "STS_005" / "CT_image.nii.gz", modality="CT")
    low, high = volume.geometry.bounds_ras
    structures = make_structures([("tumor", Box(tuple(low + 12), tuple(high - 8)))])
    plain, learned = (
        segment_volume(volume, structures, three_experts, SegmentOptions(bundle=which, method="auto", device="cpu"))
        for which in ("litemedsam", trained.folder)
    )
    assert (plain.settings["method"], learned.settings["method"]) == ("margin", "learned")
    np.testing.assert_array_equal(learned.probability, plain.probability)


def test_the_loss_falls_on_a_part_seen_again_and_again(a_prepared_task):
    task = PromptedTask(a_prepared_task.config)
    task.prepare(NOTHING)
    optimizer = torch.optim.Adam(task.head.parameters(), 1e-2)
    item = task.batches(0)[0]
    losses = []
    for _ in range(12):
        loss = task.loss(item)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(loss.terms["model_right"])
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"segmentor": None}, 'needs "segmentor'),
        ({"data": ()}, 'at least one entry under "data"'),
        ({"loss": {"mode": "released"}}, 'trains mode "consistent"'),
        ({"head": {"kind": "dense"}}, 'head kind "dense" is unknown'),
    ],
)
def test_a_configuration_that_cannot_be_trained_is_refused_at_once(some_patients, tmp_path, changes, sentence):
    with pytest.raises(BadInputError, match=sentence):
        PromptedTask(configuration(some_patients, tmp_path / "out", **changes))


def test_a_mirrored_case_exchanges_left_and_right_and_nothing_else(some_patients):
    subject = open_dataset("sts", some_patients).subjects("train")[0]
    case = subject.load()
    mirrored = _mirrored(case)
    np.testing.assert_array_equal(mirrored.volume.image, case.volume.image[:, :, ::-1])
    np.testing.assert_array_equal(mirrored.truth, case.truth[:, :, ::-1])
    assert mirrored.volume.geometry == case.volume.geometry
    assert not np.array_equal(mirrored.truth, case.truth)
    np.testing.assert_array_equal(_mirrored(mirrored).volume.image, case.volume.image)
