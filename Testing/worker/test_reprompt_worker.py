"""Asking a worker about a region: messages, files, the client with workers of all kinds, and the real worker."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core.case import Case, open_case
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.prompts import write_prompts
from DeferredSegSlicerLib.core.review.alternatives import LabelAlternative
from DeferredSegSlicerLib.core.review.runs import LabelRuns
from DeferredSegSlicerLib.core.structures import Box, make_structures
from DeferredSegSlicerLib.render.scene import worklist_of
from DeferredSegSlicerLib.worker.checks import ProtocolError
from DeferredSegSlicerLib.worker.client import Callbacks, Patience, State, WorkerClient
from DeferredSegSlicerLib.worker.protocol import REQUESTS, Error, Options, Result, decode, encode
from DeferredSegSlicerLib.worker.reprompt_files import read_answer, read_region, write_answer, write_region
from DeferredSegSlicerLib.worker.reprompt_messages import Alternatives, Forget, Reprompt, RepromptOptions

from .conftest import TALKER, Record, is_running, poll_until
from .test_server import CT, EXPERTS, LIVER_CENTER_RAS, ONE_THREAD

ASKED = Path(__file__).with_name("asked.py")


@dataclass
class AskedRecord(Record):
    """A record of answers too."""

    answers: list[Alternatives] = field(default_factory=list)
    refusals: list[Error] = field(default_factory=list)

    def callbacks(self) -> Callbacks:
        return replace(super().callbacks(), alternatives=self.answers.append, no_alternatives=self.refusals.append)

    @property
    def answered(self) -> bool:
        return bool(self.answers or self.refusals)


@pytest.fixture
def told() -> AskedRecord:
    return AskedRecord()


@pytest.fixture
def asked(tmp_path: Path, told: AskedRecord) -> Iterator[Callable[..., WorkerClient]]:
    """Makes clients of workers that behave as told; all are closed at the end."""
    made: list[WorkerClient] = []

    def make(behavior: str, script: Path = ASKED, **patience: float) -> WorkerClient:
        limits = Patience(**({"startup": 30.0, "silence": 20.0, "leave": 1.0} | patience))
        command = [sys.executable, str(script), behavior]
        made.append(WorkerClient(tmp_path / "logs", told.callbacks(), command=command, patience=limits))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def a_question(tmp_path: Path) -> dict[str, Any]:
    """Arguments of `WorkerClient.reprompt` for a worker that reads none of the files."""
    files = {"region": tmp_path / "region.json", "answer": tmp_path / "answer.json"}
    return {"case": tmp_path / "case", "bundle": "litemedsam", "structure": "liver", **files}


QUESTION = Reprompt("j1", "/a/case", "litemedsam", "liver", "/r/region.json", "/r/answer.json")
MESSAGES = [
    QUESTION,
    replace(QUESTION, structure="Niere", options=RepromptOptions("cuda:1", 2.5, 4)),
    Forget("j1"),
    Alternatives("j1", "/r/answer.json", 2, {"read": 0.1}),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_survives_the_way_there_and_back(message: Any) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"structure": ""}, 'field "structure"'),
        ({"answer": 5}, 'field "answer"'),
        ({"job": "../x"}, 'field "job"'),
        ({"more": 1}, 'unknown field "more"'),
        ({"options": {"device": "cpu", "margin_mm": 0.0}}, 'lacks the field "most"'),
        ({"options": {"device": "cpu", "margin_mm": -1, "most": 2}}, 'field "margin_mm"'),
        ({"options": {"device": "cpu", "margin_mm": 0, "most": 0}}, 'field "most"'),
        ({"options": {"method": "auto"}}, '"options" of a "reprompt"'),
        ({"options": None}, 'field "options"'),
    ],
)
def test_a_request_that_is_not_of_version_1_is_refused_by_name(change: dict[str, Any], what: str) -> None:
    line = json.dumps(json.loads(encode(QUESTION)) | change).encode()
    with pytest.raises(ProtocolError, match=what):
        decode(line)


def test_a_region_of_any_size_and_shape_goes_through_its_file(tmp_path: Path, a_case: Case) -> None:
    path = tmp_path / "Zoë region.json"
    for indices in (np.arange(a_case.geometry.voxel_count), np.array([0, 2, 3, 501]), np.array([7], np.int32)):
        write_region(path, indices)
        assert np.array_equal(read_region(path, a_case).indices, indices)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b'{"schema": 2, "voxels": [0, 1]}', b'{"schema": 1}', b'{"schema": 1, "voxels": [0, 100000]}',
        b'{"schema": 1, "voxels": [0, 1.5]}', b'{"schema": 1, "voxels": []}', b'{"schema": 1, "voxels": [-1, 4]}',
        b"[" * 100_000,
    ],
    ids=lambda c: c[:40].decode(),
)  # fmt: skip
def test_a_region_file_that_is_none_is_refused_by_name(tmp_path: Path, a_case: Case, content: bytes) -> None:
    path = tmp_path / "region.json"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"region\.json"):
        read_region(path, a_case)
    with pytest.raises(BadInputError, match="gone"):
        read_region(tmp_path / "gone", a_case)


def test_labelings_go_through_their_file(tmp_path: Path, a_case: Case) -> None:
    path, indices = tmp_path / "answer.json", np.array([3, 4, 5, 60])
    wider = np.array([3, 4, 5, 59, 60, 61])
    sent = [
        LabelAlternative("re-prompt: mask 3", LabelRuns.of(indices, np.array([0, 1, 2, 2], np.uint8)), 3),
        LabelAlternative("Zoë", LabelRuns.of(wider, np.array([1, 1, 1, 1, 1, 0], np.uint8)), 5),
    ]
    write_answer(path, a_case, "liver", sent, {"re-prompt: tight box": "it changes nothing"})
    read = read_answer(path, a_case, "liver", indices)
    assert [(a.name, a.after, a.changed) for a in read.alternatives] == [(a.name, a.after, a.changed) for a in sent]
    assert read.refused == {"re-prompt: tight box": "it changes nothing"}
    for structure, where, words in (("spleen", indices, "another case"), ("liver", np.array([3, 99]), "cover")):
        with pytest.raises(BadInputError, match=words):
            read_answer(path, a_case, structure, where)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"case": "0" * 32}, "another case"),
        ({"alternatives": {}}, "list"),
        ({"alternatives": [{}] * 17}, "list"),
        ({"alternatives": [5]}, "without a name"),
        ({"alternatives": [{"name": "", "changed": 1, "labels": [3, 2, 1]}]}, "without a name"),
        ({"alternatives": [{"name": "x", "changed": True, "labels": [3, 2, 1]}]}, "without a name"),
        ({"alternatives": [{"name": "x", "changed": 1, "labels": [3, 2, 9]}]}, "of no structure"),
        ({"alternatives": [{"name": "x", "changed": 1, "labels": "all"}]}, 'alternative "x"'),
        ({"refused": ["x"]}, "refused"),
    ],
    ids=str,
)
def test_an_answer_that_is_none_is_refused(tmp_path: Path, a_case: Case, change: dict[str, Any], words: str) -> None:
    path = tmp_path / "answer.json"
    write_answer(path, a_case, "liver", [], {})
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(BadInputError, match=words):
        read_answer(path, a_case, "liver", np.array([3, 4]))


def test_a_question_starts_the_worker_and_has_one_answer(
    asked: Callable[..., WorkerClient], told: AskedRecord, a_question: dict[str, Any]
) -> None:
    client = asked("answer")
    assert client.offers_reprompt is None
    job = client.reprompt(**a_question)
    assert client.state is State.STARTING and client.reprompting == job and client.job is None
    poll_until(client, lambda: told.answered)
    assert [(a.job, a.file) for a in told.answers] == [(job, str(a_question["answer"]))]
    assert client.offers_reprompt is True and client.reprompting is None and client.state is State.READY
    client.reprompt(**a_question)
    poll_until(client, lambda: len(told.answers) == 2)
    assert len(told.ready) == 1 and not told.refusals and not told.failures


def test_an_older_worker_is_told_apart_by_its_hello_and_goes_on(
    asked: Callable[..., WorkerClient], told: AskedRecord, a_question: dict[str, Any], a_job: dict[str, Any]
) -> None:
    client = asked("result", TALKER)
    job = client.reprompt(**a_question)
    poll_until(client, lambda: told.answered)
    (refusal,) = told.refusals
    assert (refusal.job, refusal.code) == (job, "not_offered") and "older version" in refusal.message
    assert client.offers_reprompt is False and not told.failures
    client.segment(**a_job)
    poll_until(client, lambda: told.ended)
    assert told.results and len(told.ready) == 1


def test_an_error_is_the_answer_to_the_question_alone(
    asked: Callable[..., WorkerClient], told: AskedRecord, a_question: dict[str, Any]
) -> None:
    client = asked("error")
    client.reprompt(**a_question)
    poll_until(client, lambda: told.answered)
    assert [e.code for e in told.refusals] == ["bad_input"] and not told.failures
    assert client.state is State.READY


def test_an_answer_in_another_place_is_not_read(
    asked: Callable[..., WorkerClient], told: AskedRecord, a_question: dict[str, Any]
) -> None:
    client = asked("other file")
    client.reprompt(**a_question)
    poll_until(client, lambda: told.answered)
    assert [e.code for e in told.refusals] == ["internal"] and "somebody-else" in told.refusals[0].message


def test_a_worker_that_dies_over_a_question_is_told_of_once_to_each(
    asked: Callable[..., WorkerClient], told: AskedRecord, a_question: dict[str, Any]
) -> None:
    client = asked("kill")
    job = client.reprompt(**a_question)
    poll_until(client, lambda: told.ended)
    for _ in range(20):
        client.poll()
    (refusal,), (failure,) = told.refusals, told.failures
    assert (refusal.job, refusal.code) == (job, "died") and (failure.job, failure.code) == (None, "died")
    assert "asked about a region" in failure.message and client.state is State.STOPPED


def test_a_question_without_progress_is_given_up(
    asked: Callable[..., WorkerClient], told: AskedRecord, a_question: dict[str, Any]
) -> None:
    client = asked("standstill", standstill=500.0)
    client.reprompt(**a_question)
    poll_until(client, lambda: told.ended)
    assert [e.code for e in told.refusals] == [e.code for e in told.failures] == ["hung"]


def test_a_forgotten_question_has_no_answer_and_the_worker_is_free_for_the_next(
    asked: Callable[..., WorkerClient], told: AskedRecord, a_question: dict[str, Any]
) -> None:
    client = asked("until forgotten")
    client.start()
    poll_until(client, lambda: bool(told.ready))
    first = client.reprompt(**a_question)
    second = client.reprompt(**a_question)  # which forgets the first
    assert first != second == client.reprompting
    client.forget()
    assert client.reprompting is None
    for _ in range(40):
        client.poll()
    assert not told.answered and not told.ended and is_running(told.ready[0].pid)


def test_a_segmentation_goes_before_a_question(
    asked: Callable[..., WorkerClient], told: AskedRecord, a_question: dict[str, Any], a_job: dict[str, Any]
) -> None:
    client = asked("until forgotten")
    client.start()
    poll_until(client, lambda: bool(told.ready))
    question = client.reprompt(**a_question)
    client.segment(**a_job)
    assert [(e.job, e.code) for e in told.refusals] == [(question, "dropped")]
    with pytest.raises(RuntimeError, match="has a job"):
        client.reprompt(**a_question)
    poll_until(client, lambda: told.ended)
    assert told.results and not told.failures


def test_closing_the_client_tells_who_waits_for_an_answer(
    asked: Callable[..., WorkerClient], told: AskedRecord, a_question: dict[str, Any]
) -> None:
    client = asked("until forgotten")
    client.start()
    poll_until(client, lambda: bool(told.ready))
    client.reprompt(**a_question)
    client.close()
    assert [e.code for e in told.refusals] == ["dropped"] and client.state is State.STOPPED


@dataclass
class Bench:
    """The real worker, and a case that it has made."""

    client: WorkerClient
    told: AskedRecord
    case: Case
    folder: Path

    def ask(self, structure: str, indices: np.ndarray, bundle: str = "litemedsam-deferral", **changes: Any) -> Any:
        """The answer to a question, or the error."""
        question = self.question(structure, indices, bundle) | changes
        self.told.answers.clear()
        self.told.refusals.clear()
        self.told.progress.clear()
        self.client.reprompt(**question)
        poll_until(self.client, lambda: self.told.answered, 120)
        (end,) = [*self.told.answers, *self.told.refusals]
        return end

    def question(self, structure: str, indices: np.ndarray, bundle: str = "litemedsam-deferral") -> dict[str, Any]:
        """Its arguments; the region is written."""
        region, answer = self.folder / "region.json", self.folder / "answer.json"
        write_region(region, indices)
        answer.unlink(missing_ok=True)
        options = RepromptOptions("cpu", most=4)
        files = {"case": self.case.folder, "region": region, "answer": answer}
        return {"bundle": bundle, "structure": structure, "options": options, **files}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A piece of liver, segmented."""
    folder = tmp_path_factory.mktemp("bench") / "Zoë 病人"
    folder.mkdir()
    scan = sitk.ReadImage(str(CT))
    center = scan.TransformPhysicalPointToIndex((-LIVER_CENTER_RAS[0], -LIVER_CENTER_RAS[1], LIVER_CENTER_RAS[2]))
    half = (24, 24, 1)
    start = [int(c - h) for c, h in zip(center, half, strict=True)]
    sitk.WriteImage(sitk.RegionOfInterest(scan, [2 * h + 1 for h in half], start), str(folder / "image.nrrd"))
    low, high = ([c + sign * s for c, s in zip(LIVER_CENTER_RAS, (50, 50, 2), strict=True)] for sign in (-1, 1))
    write_prompts(folder / "prompts.json", make_structures([("liver", Box.of_numbers([*low, *high]))]))
    told = AskedRecord()
    request = {"image": folder / "image.nrrd", "prompts": folder / "prompts.json", "experts": EXPERTS}
    with WorkerClient(folder / "logs", told.callbacks(), environment=ONE_THREAD) as client:
        client.segment(**request, case=folder / "case", options=Options(device="cpu", modality="CT"))
        poll_until(client, lambda: told.ended, 240)
        assert told.results, told.failures
        yield Bench(client, told, open_case(folder / "case"), folder)


def test_the_real_worker_says_what_it_takes(bench: Bench) -> None:
    (hello,) = bench.told.ready
    assert hello.versions["requests"].split() == sorted(REQUESTS) and bench.client.offers_reprompt


def test_the_real_worker_answers_about_the_regions_of_its_case(bench: Bench) -> None:
    regions = worklist_of(bench.case).regions(0.4)
    before = bench.case.label().reshape(-1)
    found, seconds = [], []
    for region in regions:
        end = bench.ask("liver", region.indices)
        assert isinstance(end, Alternatives), end
        answer = read_answer(Path(end.file), bench.case, "liver", region.indices)
        assert end.count == len(answer.alternatives) and {"read", "reprompt"} == set(end.timings)
        assert end.count + len(answer.refused) == 4
        for alternative in answer.alternatives:
            assert np.array_equal(alternative.after.indices, region.indices)
            assert alternative.changed == np.count_nonzero(alternative.after.labels != before[region.indices])
        found += answer.alternatives
        seconds.append(end.timings["read"])
        assert {p.stage for p in bench.told.progress} <= {"read", "reprompt"}
    assert found and len(bench.told.ready) == 1
    again = bench.ask("liver", regions[0].indices)
    assert again.timings["read"] < max(1.0, seconds[0]), "the case was still open"


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"case": "/nowhere/case"}, "bad_input", "/nowhere/case"),
        ({"bundle": "no-such-bundle"}, "bad_input", "no-such-bundle"),
        ({"structure": "lung"}, "bad_input", 'structure "lung" is not in the case; it has liver'),
        ({"region": "/nowhere/region.json"}, "bad_input", "region.json"),
        ({"answer": "/nowhere/answer.json"}, "bad_input", "cannot be written"),
        ({"options": RepromptOptions("cpu", 11.0)}, "bad_input", "margin"),
        ({"options": RepromptOptions("abacus")}, "bad_input", "abacus"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_bad_question_is_one_sentence_and_the_worker_lives_on(
    bench: Bench, change: dict[str, Any], code: str, words: str
) -> None:
    region = worklist_of(bench.case).regions(0.4)[0]
    end = bench.ask(**({"structure": "liver", "indices": region.indices} | change))
    assert isinstance(end, Error) and end.code == code, end
    assert words in end.message and "\n" not in end.message and "Traceback" not in end.message
    assert not (bench.folder / "answer.json").exists() and len(bench.told.ready) == 1
    assert not [name for name in os.listdir(bench.folder) if name.startswith(".")]


def test_a_changed_case_is_damaged(bench: Bench, tmp_path: Path) -> None:
    copy = tmp_path / "case"
    copy.mkdir()
    for path in bench.case.folder.rglob("*"):
        target = copy / path.relative_to(bench.case.folder)
        target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes())
    data = bytearray((copy / "probability.nrrd").read_bytes())
    data[-3] ^= 1
    (copy / "probability.nrrd").write_bytes(data)
    end = bench.ask("liver", np.array([100]), case=copy)
    assert isinstance(end, Error) and end.code == "damaged_case", end


def test_a_forgotten_question_is_left_by_the_real_worker_and_the_next_is_answered(bench: Bench) -> None:
    region = max(worklist_of(bench.case).regions(0.4), key=lambda r: r.slice_count)
    bench.told.answers.clear()
    bench.told.refusals.clear()
    left = bench.folder / "left.json"
    first = bench.client.reprompt(**(bench.question("liver", region.indices) | {"answer": left}))
    second = bench.client.reprompt(**bench.question("liver", region.indices))
    poll_until(bench.client, lambda: bench.told.answered, 120)
    assert [a.job for a in bench.told.answers] == [second] != [first] and not bench.told.refusals
    assert not left.exists(), "one job at a time: the first would have been answered by now"


def test_a_segmentation_after_a_question_and_the_other_way_around(bench: Bench, tmp_path: Path) -> None:
    told, folder = bench.told, bench.folder
    request = {"image": folder / "image.nrrd", "prompts": folder / "prompts.json", "experts": EXPERTS}
    region = worklist_of(bench.case).regions(0.4)[0]
    told.results.clear()
    told.refusals.clear()
    bench.client.reprompt(**bench.question("liver", region.indices))
    options = Options(device="cpu", modality="CT")
    bench.client.segment(**request, case=tmp_path / "case", options=options)
    poll_until(bench.client, lambda: told.ended, 240)
    assert isinstance(told.results[0], Result) and [e.code for e in told.refusals] == ["dropped"]
    assert np.array_equal(open_case(tmp_path / "case").probability(), bench.case.probability())
    assert isinstance(bench.ask("liver", region.indices), Alternatives)
