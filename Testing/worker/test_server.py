"""The real worker: hello, a real segmentation, bad requests, memory, and the death of its parent."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from DeferredSegSlicerLib.core.case import open_case
from DeferredSegSlicerLib.core.prompts import write_prompts
from DeferredSegSlicerLib.core.structures import Box, make_structures
from DeferredSegSlicerLib.worker.client import WorkerClient
from DeferredSegSlicerLib.worker.protocol import Error, Options, Progress, Result, decode
from DeferredSegSlicerLib.worker.server import REQUIRED_PACKAGES, Throttle

from .conftest import Record, is_running, poll_until

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "DeferredSegSlicer"
EXPERTS = ROOT / "Resources" / "Experts" / "default.json"
CT = ROOT / "Resources" / "SampleData" / "body_ct.nrrd"
LIVER_CENTER_RAS = (75.0, 190.0, 380.0)

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "OPENVINO_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def a_request(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A small real piece of liver under a long path that is not ASCII, with a box in it."""
    folder = tmp_path_factory.mktemp("request") / "/".join(["Zoë Łukasz 病人 " + "x" * 80] * 8)
    folder.mkdir(parents=True)
    scan = sitk.ReadImage(str(CT))
    center = scan.TransformPhysicalPointToIndex((-LIVER_CENTER_RAS[0], -LIVER_CENTER_RAS[1], LIVER_CENTER_RAS[2]))
    half = (20, 20, 1)
    start = [int(c - h) for c, h in zip(center, half, strict=True)]
    piece = sitk.RegionOfInterest(scan, [2 * h + 1 for h in half], start)
    sitk.WriteImage(piece, str(folder / "image.nrrd"))
    low = [c - s for c, s in zip(LIVER_CENTER_RAS, (36, 36, 2), strict=True)]
    high = [c + s for c, s in zip(LIVER_CENTER_RAS, (36, 36, 2), strict=True)]
    write_prompts(folder / "prompts.json", make_structures([("liver", Box.of_numbers([*low, *high]))]))
    return {"image": folder / "image.nrrd", "prompts": folder / "prompts.json", "experts": EXPERTS}


@pytest.fixture(scope="module")
def a_shared_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WorkerClient, Record]]:
    """One real worker for the tests that do not harm it."""
    record = Record()
    logs = tmp_path_factory.mktemp("logs")
    with WorkerClient(logs, record.callbacks(), environment=ONE_THREAD) as client:
        client.start()
        poll_until(client, lambda: bool(record.ready or record.failures), 120)
        assert record.ready, record.failures
        yield client, record


@pytest.fixture
def a_worker(a_shared_worker: tuple[WorkerClient, Record]) -> Callable[..., Result | Error]:
    """Runs one job on the shared worker and returns its end."""
    client, record = a_shared_worker

    def run(**job: Any) -> Result | Error:
        record.results.clear()
        record.failures.clear()
        record.progress.clear()
        client.segment(**job)
        poll_until(client, lambda: record.ended, 120)
        (end,) = [*record.results, *record.failures]
        return end

    return run


def test_hello_tells_versions_and_a_device_that_computes(a_shared_worker: tuple[WorkerClient, Record]) -> None:
    (hello,) = a_shared_worker[1].ready
    assert hello.self_test.passed and "convolution" in hello.self_test.message
    assert hello.versions["torch"] and hello.versions["deferredseg"] and hello.versions["numpy"] == np.__version__
    assert hello.device == "cpu" or hello.device.startswith("cuda")
    assert is_running(hello.pid)


def test_a_real_segmentation_becomes_a_whole_case(
    a_worker: Callable[..., Result | Error],
    a_shared_worker: tuple[WorkerClient, Record],
    a_request: dict[str, Any],
) -> None:
    case = a_request["image"].parent / "case"
    end = a_worker(**a_request, case=case, options=Options(device="cpu", modality="CT"))
    assert isinstance(end, Result), end
    opened = open_case(case)
    image = sitk.ReadImage(str(a_request["image"]))
    assert opened.geometry.size == image.GetSize()
    assert np.allclose(opened.geometry.origin_lps, image.GetOrigin())
    middle = opened.label()[1]
    assert middle[20, 20] == 1 and 0.2 < float(np.mean(middle == 1)) <= 1.0  # liver where the box was, not elsewhere
    assert [s.name for s in opened.structures] == ["liver"]
    stages = list(dict.fromkeys(p.stage for p in a_shared_worker[1].progress))
    assert stages[0] == "read" and stages[-1] == "write" and "segment" in stages
    assert not [name for name in os.listdir(case.parent) if name.startswith(".")]

    # the same again: refused without leave to replace it, and replaced with it
    again = a_worker(**a_request, case=case, options=Options(device="cpu"))
    assert isinstance(again, Error) and again.code == "bad_input" and "exists already" in again.message
    assert open_case(case).id == opened.id
    replaced = a_worker(**a_request, case=case, options=Options(device="cpu", modality="CT", overwrite=True))
    assert isinstance(replaced, Result) and open_case(case).id != opened.id
    assert replaced.timings["load"] < max(1.0, end.timings["load"])  # the network was still there


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": "/nowhere/image.nrrd"}, "image.nrrd"),
        ({"prompts": "/nowhere/prompts.json"}, "prompts.json"),
        ({"experts": "/nowhere/experts.json"}, "experts.json"),
        ({"bundle": "no-such-bundle"}, "no-such-bundle"),
        ({"options": Options(method="guess", device="cpu")}, "guess"),
        ({"options": Options(device="abacus")}, "abacus"),
        ({"options": Options(modality="PET", device="cpu")}, "PET"),
        ({"options": Options(window=(40.0, -1.0), device="cpu")}, "window"),
        ({"case": "/proc/no/case"}, "cannot be written"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_a_bad_request_is_one_sentence_and_the_worker_lives_on(
    a_worker: Callable[..., Result | Error],
    a_shared_worker: tuple[WorkerClient, Record],
    a_request: dict[str, Any],
    tmp_path: Path,
    change: dict[str, Any],
    words: str,
) -> None:
    job = {**a_request, "case": tmp_path / "case", "options": Options(device="cpu", modality="CT")} | change
    end = a_worker(**job)
    assert isinstance(end, Error) and end.code == "bad_input", end
    assert words in end.message and "\n" not in end.message and "Traceback" not in end.message
    assert os.listdir(tmp_path) == []
    assert len(a_shared_worker[1].ready) == 1


def test_progress_is_told_ten_times_a_second_with_the_first_and_the_last() -> None:
    throttle = Throttle()
    reports = [Progress("j", "encode" if n < 500 else "decode", n, 999, None) for n in range(1000)]
    passed = [r.done for n, r in enumerate(reports) if throttle.lets_pass(r, 100 + n / 1000)]  # 1,000 in a second
    assert passed[0] == 0 and 500 in passed and passed[-1] == 999
    assert 10 <= len(passed) <= 13


def test_two_real_workers_make_two_cases_at_once(
    a_shared_worker: tuple[WorkerClient, Record], a_request: dict[str, Any], tmp_path: Path
) -> None:
    first, first_record = a_shared_worker
    first_record.results.clear()
    first_record.failures.clear()
    second_record = Record()
    options = Options(device="cpu", modality="CT")
    with WorkerClient(tmp_path / "logs", second_record.callbacks(), environment=ONE_THREAD) as second:
        second.segment(**a_request, case=tmp_path / "two", options=options)
        poll_until(second, lambda: bool(second_record.progress), 60)  # at work
        first.segment(**a_request, case=tmp_path / "one", options=options)
        poll_until(first, lambda: first_record.ended, 120)
        poll_until(second, lambda: second_record.ended, 120)
    assert first_record.failures == second_record.failures == []
    one, two = open_case(tmp_path / "one"), open_case(tmp_path / "two")
    assert np.array_equal(one.probability(), two.probability())
    assert sorted(os.listdir(tmp_path)) == ["logs", "one", "two"]


def test_a_worker_ends_with_its_parent_and_leaves_no_half_written_case(
    a_request: dict[str, Any], tmp_path: Path
) -> None:
    code = (
        "import json, sys, time\n"
        "from DeferredSegSlicerLib.worker.client import Callbacks, WorkerClient\n"
        "say = lambda *words: print(*words, flush=True)\n"
        "told = Callbacks(ready=lambda h: say('pid', h.pid), progress=lambda p: say('stage', p.stage),\n"
        "                 failed=lambda e: say('failed', e.message))\n"
        "client = WorkerClient(sys.argv[1], told)\n"
        "client.segment(**json.loads(sys.argv[2]))\n"
        "while True:\n"
        "    client.poll(); time.sleep(0.01)\n"
    )
    studies = tmp_path / "studies"
    job = {name: str(path) for name, path in (a_request | {"case": studies / "case"}).items()}
    command = [sys.executable, "-c", code, str(tmp_path / "logs"), json.dumps(job)]
    parent = subprocess.Popen(command, cwd=LIBRARY, env=ONE_THREAD, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, stage = 0, ""
    try:
        while stage != "load":
            kind, _, value = parent.stdout.readline().strip().partition(" ")
            assert kind in ("pid", "stage"), f"{kind} {value}"
            pid, stage = (int(value), stage) if kind == "pid" else (pid, value)
        assert is_running(pid)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 3
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(pid)
    assert not studies.exists()


def test_running_out_of_memory_is_an_answer_and_the_worker_lives_on(tmp_path: Path, a_request: dict[str, Any]) -> None:
    limited = (
        "import resource, sys\n"
        "from DeferredSegSlicerLib.worker import jobs, server\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), used + (200 << 20)))\n"
        "sys.exit(server.main([]))\n"
    )
    image = sitk.Image(512, 512, 200, sitk.sitkInt16)  # 100 MB of voxels, and maps beside them
    image[256, 256, 100] = 100
    sitk.WriteImage(image, str(tmp_path / "big.nrrd"), useCompression=True)
    write_prompts(tmp_path / "big.json", make_structures([("all", Box.of_numbers([-500, -500, 1, 0, 0, 190]))]))
    record = Record()
    command = [sys.executable, "-c", limited]
    with WorkerClient(tmp_path / "logs", record.callbacks(), environment=ONE_THREAD, command=command) as client:
        big = {"image": tmp_path / "big.nrrd", "prompts": tmp_path / "big.json", "experts": EXPERTS}
        client.segment(**big, case=tmp_path / "case", options=Options(device="cpu"))
        poll_until(client, lambda: record.ended, 120)
        (failure,) = record.failures
        assert failure.code == "out_of_memory", failure
        assert "memory" in failure.message and "smaller part" in failure.advice
        assert not (tmp_path / "case").exists()
        client.segment(**a_request, case=tmp_path / "case", options=Options(device="cpu", method="guess"))
        poll_until(client, lambda: len(record.failures) == 2, 30)
        assert len(record.ready) == 1 and "guess" in record.failures[1].message


def test_an_interpreter_without_packages_names_them(tmp_path: Path) -> None:
    record = Record()
    bare = [sys.executable, "-S", "-m", "DeferredSegSlicerLib.worker.server"]  # -S: no installed packages
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with WorkerClient(tmp_path, record.callbacks(), environment=environment, command=bare) as client:
        client.start()
        poll_until(client, lambda: record.ended, 30)
    (failure,) = record.failures
    assert failure.code == "missing_packages"
    assert {"torch", "numpy", "SimpleITK", "segment-anything"} <= set(failure.packages)
    assert "torch" in failure.message and sys.executable in failure.message


def test_a_package_that_cannot_be_loaded_is_named_with_the_reason(tmp_path: Path) -> None:
    broken = tmp_path / "packages" / "torch"
    broken.mkdir(parents=True)
    reason = "raise ImportError('libcudart.so.99: cannot open shared object file', name='torch')"
    (broken / "__init__.py").write_text(reason)
    record = Record()
    environment = os.environ | {"PYTHONPATH": str(broken.parent)}
    with WorkerClient(tmp_path / "logs", record.callbacks(), environment=environment) as client:
        client.start()
        poll_until(client, lambda: record.ended, 30)
    (failure,) = record.failures
    assert failure.code == "missing_packages" and failure.packages == ("torch",)
    assert "libcudart.so.99" in failure.message and Path(failure.log or "").exists()


@pytest.mark.parametrize("last_words", [b"", b'{"protocol":1,"type":"shutdown"}\n', b'{"protocol":1,"type":"shut'])
def test_a_worker_leaves_when_told_or_when_stdin_closes(last_words: bytes) -> None:
    command = [sys.executable, "-m", "DeferredSegSlicerLib.worker.server"]
    started = time.monotonic()
    done = subprocess.run(command, cwd=LIBRARY, input=last_words, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    assert time.monotonic() - started < 5  # it does not finish loading its packages first
    assert b"Traceback" not in done.stderr


def test_a_line_that_the_worker_does_not_understand_is_answered() -> None:
    command = [sys.executable, "-m", "DeferredSegSlicerLib.worker.server"]
    worker = subprocess.Popen(
        command, cwd=LIBRARY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(b'{"protocol":1,"type":"sing"}\n')
    worker.stdin.flush()
    answers = iter(lambda: decode(worker.stdout.readline()), None)  # type: ignore[union-attr]
    answer = next(a for a in answers if isinstance(a, Error))
    assert answer.code == "protocol" and "sing" in answer.message
    worker.stdin.close()
    assert worker.wait(10) == 0


def test_every_package_that_is_imported_at_the_start_is_checked_for() -> None:
    library = LIBRARY / "DeferredSegSlicerLib"
    waiting, seen, foreign = [library / "worker" / "jobs.py"], set(), set()
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.level:
                target = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
                names = [target / alias.name for alias in node.names]
                waiting += [target.with_suffix(".py"), target / "__init__.py"]
                waiting += [n.with_suffix(".py") for n in names] + [n / "__init__.py" for n in names]
            elif isinstance(node, ast.ImportFrom):
                foreign.add((node.module or "").partition(".")[0])
            elif isinstance(node, ast.Import):
                foreign |= {alias.name.partition(".")[0] for alias in node.names}
    assert library / "engine" / "pipeline.py" in seen and library / "core" / "nrrd.py" in seen
    assert "torch" in foreign
    assert foreign - set(sys.stdlib_module_names) <= set(REQUIRED_PACKAGES)
