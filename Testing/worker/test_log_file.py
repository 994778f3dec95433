"""A log keeps what matters and never fills a disk."""

from __future__ import annotations

from pathlib import Path

from DeferredSegSlicerLib.worker.log_file import KEPT_FILES, LogFile


def test_a_log_stays_within_its_size_and_keeps_the_end(tmp_path: Path) -> None:
    log = LogFile(tmp_path, max_bytes=1000)
    for number in range(500):
        log.write(f"line {number}\n".encode())
    log.write(b"x" * 5000 + b" end of a flood\n")
    log.close()
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2 and max(sizes) <= 1000
    assert log.path.read_bytes().endswith(b" end of a flood\n")
    log.write(b"after close")  # nothing happens
    assert log.path.read_bytes().endswith(b" end of a flood\n")


def test_the_tail_is_text_whatever_was_written(tmp_path: Path) -> None:
    log = LogFile(tmp_path)
    log.write(b"caf\xe9\n")
    log.note("started \udcff")
    assert log.tail()[0] == "caf\N{REPLACEMENT CHARACTER}" and "client] started" in log.tail()[1]
    log.close()


def test_old_logs_go_and_no_two_share_a_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a log")
    logs = [LogFile(tmp_path) for _ in range(KEPT_FILES + 5)]
    assert len({log.path for log in logs}) == len(logs)
    assert len(list(tmp_path.glob("worker-*"))) == KEPT_FILES
    assert logs[-1].path.exists() and (tmp_path / "notes.txt").exists()
    for log in logs:
        log.close()
