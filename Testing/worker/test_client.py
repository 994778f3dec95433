"""The client against real child processes that work, misbehave, die and hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from DeferredSegSlicerLib.worker.client import Callbacks, State, WorkerClient
from DeferredSegSlicerLib.worker.staging import staging_folder

from .conftest import TALKER, Record, is_running, poll_until

MakeClient = Callable[..., WorkerClient]


def test_a_job_ends_in_one_result(a_client: MakeClient, a_record: Record, a_job: dict[str, Any]) -> None:
    client = a_client("result")
    assert client.state is State.STOPPED
    job = client.segment(**a_job)
    assert client.state is State.STARTING
    poll_until(client, lambda: a_record.ended)
    assert [(r.job, r.case) for r in a_record.results] == [(job, str(a_job["case"]))]
    assert len(a_record.ready) == 1 and not a_record.failures
    assert client.state is State.READY and client.job is None


def test_the_worker_stays_for_the_next_job(a_client: MakeClient, a_record: Record, a_job: dict[str, Any]) -> None:
    client = a_client("result")
    for number in range(1, 4):
        client.segment(**a_job)
        poll_until(client, lambda number=number: len(a_record.results) == number)
    assert len(a_record.ready) == 1


def test_a_second_job_at_once_is_refused(a_client: MakeClient, a_job: dict[str, Any]) -> None:
    client = a_client("deaf")
    client.segment(**a_job)
    with pytest.raises(RuntimeError, match="already has a job"):
        client.segment(**a_job)


def test_cancel_kills_the_whole_process_tree_within_a_second(
    a_client: MakeClient, a_record: Record, a_job: dict[str, Any], tmp_path: Path
) -> None:
    pids_file = tmp_path / "pids"
    client = a_client("grandchildren", str(pids_file))
    job = client.segment(**a_job)
    poll_until(client, lambda: bool(a_record.progress))
    pids = [a_record.ready[0].pid, *map(int, pids_file.read_text(encoding="utf-8").split())]
    assert len(pids) == 4 and all(map(is_running, pids))
    hidden = staging_folder(a_job["case"], job)
    hidden.mkdir()
    (hidden / "half.nrrd").write_bytes(b"half")

    started = time.monotonic()
    client.cancel()
    seconds = time.monotonic() - started

    assert seconds < 1.0
    assert not any(map(is_running, pids))
    assert a_record.cancelled == [job] and not a_record.failures
    assert not hidden.exists() and not a_job["case"].exists()
    assert client.state is State.STARTING  # a fresh worker
    poll_until(client, lambda: len(a_record.ready) == 2)
    assert client.state is State.READY and a_record.ready[1].pid not in pids


def test_cancel_can_leave_the_worker_stopped(a_client: MakeClient, a_record: Record, a_job: dict[str, Any]) -> None:
    client = a_client("deaf")
    client.cancel()
    assert not a_record.cancelled  # no job, nothing to cancel
    client.segment(**a_job)
    client.cancel(restart=False)
    assert client.state is State.STOPPED and len(a_record.cancelled) == 1


def test_what_a_cancelled_worker_still_said_is_not_heard(
    a_client: MakeClient, a_record: Record, a_job: dict[str, Any]
) -> None:
    client = a_client("flood", "200")
    client.start()
    poll_until(client, lambda: bool(a_record.ready))
    client.segment(**a_job)
    time.sleep(0.3)  # the result waits in the queue
    client.cancel()
    poll_until(client, lambda: len(a_record.ready) == 2)
    assert not a_record.results and not a_record.progress


def test_a_worker_that_is_killed_becomes_one_readable_message(
    a_client: MakeClient, a_record: Record, a_job: dict[str, Any], tmp_path: Path
) -> None:
    client = a_client("kill", str(tmp_path / "pid"))
    job = client.segment(**a_job)
    poll_until(client, lambda: a_record.ended)
    for _ in range(20):
        client.poll()
    (failure,) = a_record.failures
    assert (failure.job, failure.code) == (job, "died")
    assert "SIGKILL" in failure.message and "memory" in failure.message and "while segmenting" in failure.message
    assert "smaller part" in failure.advice and Path(failure.log or "").exists()
    assert client.state is State.STOPPED
    assert not is_running(int((tmp_path / "pid").read_text(encoding="utf-8")))  # what it left behind went too


def test_a_new_job_after_a_death_starts_a_new_worker(
    a_client: MakeClient, a_record: Record, a_job: dict[str, Any]
) -> None:
    client = a_client("exit", "7")
    for number in (1, 2):
        client.segment(**a_job)
        poll_until(client, lambda number=number: len(a_record.failures) == number)
    assert "exit code 7" in a_record.failures[0].message and len(a_record.ready) == 2


def test_a_crash_in_native_code_is_named(a_client: MakeClient, a_record: Record, a_job: dict[str, Any]) -> None:
    client = a_client("abort")
    client.segment(**a_job)
    poll_until(client, lambda: a_record.ended)
    assert "SIGABRT" in a_record.failures[0].message and "CPU" in a_record.failures[0].advice


def test_a_worker_that_dies_idle_is_told_of(a_client: MakeClient, a_record: Record) -> None:
    client = a_client("result")
    client.start()
    poll_until(client, lambda: bool(a_record.ready))
    os.kill(a_record.ready[0].pid, signal.SIGTERM)
    poll_until(client, lambda: a_record.ended)
    assert a_record.failures[0].job is None and "nothing to do" in a_record.failures[0].message


def test_garbage_on_stdout_is_logged_and_does_no_harm(
    a_client: MakeClient, a_record: Record, a_job: dict[str, Any]
) -> None:
    client = a_client("garbage")
    client.segment(**a_job)
    poll_until(client, lambda: a_record.ended)
    assert len(a_record.results) == 1 and not a_record.failures
    log = Path(client.log_path or "").read_text(encoding="utf-8")
    assert "Downloading weights" in log and "caf\\xe9" in log and "a print that is JSON" in log
    assert "a line of 100000000 bytes" in log
    assert len(log) < 10_000


def test_a_thousand_messages_arrive_in_order_and_quickly(
    a_client: MakeClient, a_record: Record, a_job: dict[str, Any]
) -> None:
    client = a_client("flood", "1000")
    client.start()
    poll_until(client, lambda: bool(a_record.ready))
    started = time.monotonic()
    client.segment(**a_job)
    poll_until(client, lambda: a_record.ended)
    assert time.monotonic() - started < 2.0
    assert [p.done for p in a_record.progress] == list(range(1000))


def test_one_poll_never_hands_out_so_much_that_a_window_freezes(
    a_client: MakeClient, a_record: Record, a_job: dict[str, Any]
) -> None:
    client = a_client("flood", "30000")  # more than the queue holds: the worker has to wait for the window
    client.segment(**a_job)
    poll_until(client, lambda: bool(a_record.progress))
    time.sleep(0.5)
    longest = 0.0
    while not a_record.results:
        started = time.monotonic()
        client.poll()
        longest = max(longest, time.monotonic() - started)
        time.sleep(0.002)
    assert longest < 0.1
    assert [p.done for p in a_record.progress] == list(range(30000))


def test_two_clients_work_at_the_same_time(a_client: MakeClient, a_job: dict[str, Any], tmp_path: Path) -> None:
    records = Record(), Record()
    clients = [a_client("flood", "300", record=record) for record in records]
    cases = [tmp_path / "case one", tmp_path / "case two"]
    for client, case in zip(clients, cases, strict=True):
        client.segment(**(a_job | {"case": case}))
    for client, record in zip(clients, records, strict=True):
        poll_until(client, lambda record=record: record.ended)
    assert [r.results[0].case for r in records] == list(map(str, cases))
    assert all(len(r.progress) == 300 for r in records)
    assert clients[0].log_path != clients[1].log_path


def test_a_worker_without_heartbeat_is_ended(a_client: MakeClient, a_record: Record, a_job: dict[str, Any]) -> None:
    client = a_client("silent", silence=0.5)
    client.segment(**a_job)
    poll_until(client, lambda: a_record.ended)
    assert a_record.failures[0].code == "hung" and "no sign of life" in a_record.failures[0].message
    assert not is_running(a_record.ready[0].pid)


def test_a_job_that_stands_still_is_ended_although_the_heart_beats(
    a_client: MakeClient, a_record: Record, a_job: dict[str, Any]
) -> None:
    client = a_client("standstill", standstill=900.0)
    client.segment(**a_job)
    poll_until(client, lambda: a_record.ended)
    assert a_record.failures[0].code == "hung" and "no progress" in a_record.failures[0].message


def test_a_worker_that_never_says_hello_is_ended(a_client: MakeClient, a_record: Record) -> None:
    client = a_client("mute", startup=0.5)
    client.start()
    poll_until(client, lambda: a_record.ended)
    assert a_record.failures[0].code == "not_started" and "not ready" in a_record.failures[0].message
    assert client.state is State.STOPPED


def test_what_the_interpreter_lacks_is_named_once(
    a_client: MakeClient, a_record: Record, a_job: dict[str, Any]
) -> None:
    client = a_client("lacking")
    job = client.segment(**a_job)
    poll_until(client, lambda: a_record.ended)
    time.sleep(0.1)
    client.poll()
    (failure,) = a_record.failures
    assert (failure.job, failure.code, failure.packages) == (job, "missing_packages", ("torch",))


def test_a_worker_that_breaks_at_the_start_is_told_of_without_a_traceback(
    a_client: MakeClient, a_record: Record
) -> None:
    client = a_client("broken")
    client.start()
    poll_until(client, lambda: a_record.ended)
    (failure,) = a_record.failures
    assert "Traceback" not in failure.message and "exit code 1" in failure.message
    assert "Traceback: broken" in Path(failure.log or "").read_text(encoding="utf-8")


def test_an_interpreter_that_is_not_there_is_named(a_record: Record, a_job: dict[str, Any], tmp_path: Path) -> None:
    client = WorkerClient(tmp_path, a_record.callbacks(), python=tmp_path / "no" / "python")
    job = client.segment(**a_job)
    client.poll()
    (failure,) = a_record.failures
    assert (failure.job, failure.code) == (job, "not_started")
    assert str(tmp_path / "no" / "python") in failure.message and client.job is None


def test_a_log_folder_that_cannot_be_made_is_told_of(a_record: Record, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    client = WorkerClient(tmp_path / "file", a_record.callbacks())
    client.start()
    client.poll()
    assert a_record.failures[0].code == "not_started" and "file" in a_record.failures[0].message


def test_a_worker_of_another_version_is_refused(a_client: MakeClient, a_record: Record, a_job: dict[str, Any]) -> None:
    client = a_client("newer")
    client.segment(**a_job)
    poll_until(client, lambda: a_record.ended)
    assert a_record.failures[0].code == "protocol" and "speaks protocol 2" in a_record.failures[0].message


def test_a_result_for_another_case_is_never_taken(
    a_client: MakeClient, a_record: Record, a_job: dict[str, Any]
) -> None:
    client = a_client("other case")
    client.segment(**a_job)
    poll_until(client, lambda: a_record.ended)
    assert not a_record.results
    assert "of-somebody-else" in a_record.failures[0].message


def test_a_callback_may_cancel_and_start_again(a_client: MakeClient, a_job: dict[str, Any], tmp_path: Path) -> None:
    record = Record()
    holder: list[WorkerClient] = []
    told = Callbacks(
        ready=record.ready.append,
        progress=lambda progress: (record.progress.append(progress), holder[0].cancel())[0],
        result=record.results.append,
        failed=record.failures.append,
        cancelled=record.cancelled.append,
    )
    holder.append(WorkerClient(tmp_path, told, command=[sys.executable, str(TALKER), "flood", "50"]))
    with holder[0] as client:
        client.segment(**a_job)
        poll_until(client, lambda: len(record.ready) == 2)
    assert len(record.progress) == 1 and len(record.cancelled) == 1 and not record.results


def test_close_ends_an_idle_worker_gently_and_a_deaf_one_by_force(a_client: MakeClient, a_record: Record) -> None:
    for number, behavior in enumerate(("result", "deaf")):
        client = a_client(behavior, leave=0.3)
        client.start()
        poll_until(client, lambda number=number: len(a_record.ready) > number)
        started = time.monotonic()
        client.close()
        assert time.monotonic() - started < 1.5
        assert not is_running(a_record.ready[number].pid) and client.state is State.STOPPED
    client.close()  # again: nothing happens
    assert not a_record.failures


def test_a_job_thrown_away_by_close_is_not_a_failure(
    a_client: MakeClient, a_record: Record, a_job: dict[str, Any]
) -> None:
    client = a_client("deaf")
    client.segment(**a_job)
    poll_until(client, lambda: bool(a_record.ready))
    client.close()
    client.poll()
    assert not a_record.ended and not is_running(a_record.ready[0].pid)


def test_no_thread_is_left_after_close(a_client: MakeClient, a_record: Record) -> None:
    before = threading.active_count()
    for number in range(3):
        client = a_client("result")
        client.start()
        poll_until(client, lambda number=number: len(a_record.ready) > number)
        client.close()
    deadline = time.monotonic() + 2
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_the_client_needs_neither_torch_nor_numpy_nor_qt() -> None:
    code = (
        "import sys; import DeferredSegSlicerLib.worker.client;"
        "print([m for m in ('torch', 'numpy', 'SimpleITK', 'qt') if m in sys.modules])"
    )
    library = Path(__file__).parents[2] / "DeferredSegSlicer"
    done = subprocess.run([sys.executable, "-c", code], cwd=library, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
