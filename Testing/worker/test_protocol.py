"""Messages survive the way there and back, and nothing else gets through."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

import pytest
from DeferredSegSlicerLib.worker.checks import ProtocolError
from DeferredSegSlicerLib.worker.lines import MAX_LINE_BYTES, LineSplitter, OverlongLine
from DeferredSegSlicerLib.worker.protocol import (
    Error,
    Heartbeat,
    Hello,
    Message,
    NotAMessageError,
    Options,
    Progress,
    Result,
    Segment,
    SelfTest,
    Shutdown,
    decode,
    encode,
)
from hypothesis import given
from hypothesis import strategies as st

EVERY_MESSAGE: list[Message] = [
    Hello({"python": "3.11", "torch": "2.15"}, "cuda:0", SelfTest(True, "a convolution was right", 0.2), 4711),
    Segment("j1", "/a/image.nrrd", "/a/prompts.json", "/a/experts.json", "/b/case", "litemedsam"),
    Segment("j2", "a", "b", "c", "d", "e", Options("tta", "cpu", (40.0, 400.0), "crop", "MR", True)),
    Progress("j1", "encode", 3, 112, 12.5),
    Progress("j1", "encode", 0, 0, None),
    Result("j1", "/b/case", {"encode": 1.5}),
    Error("j1", "out_of_memory", "The GPU ran out of memory.", "Choose the CPU.", "/log", ()),
    Error(None, "missing_packages", "torch is missing.", packages=("torch",)),
    Heartbeat(None, 0.0),
    Heartbeat("j1", 12.25),
    Shutdown(),
]


def _line(**changes: Any) -> bytes:
    fields = {"protocol": 1, "type": "progress", "job": "j", "stage": "encode", "done": 1, "total": 2}
    content = fields | {"seconds_left": None} | changes
    return json.dumps({name: value for name, value in content.items() if value is not ...}).encode()


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=lambda m: type(m).__name__)
def test_every_message_survives_the_way_there_and_back(message: Message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert decode(line) == message


@pytest.mark.parametrize(
    "name", ["Zoë Łukasz 病人", "tab\there", "new\nline", 'quote"s', os.fsdecode(b"not-utf8-\xff")]
)
def test_any_file_name_survives(name: str) -> None:
    sent = Result("j", f"/data/{name}/case", {})
    assert decode(encode(sent)) == sent
    assert encode(sent).count(b"\n") == 1


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (_line(protocol=2), "speaks protocol 2"),
        (_line(protocol=True), "speaks protocol True"),
        (_line(protocol="1"), "speaks protocol '1'"),
        (_line(type="shrug"), "type 'shrug' is not known"),
        (_line(type=...), "type None is not known"),
        (_line(type=["progress"]), "is not known"),
        (_line(stage=...), 'lacks the field "stage"'),
        (_line(colour="red"), 'unknown field "colour"'),
        (_line(done="1"), 'field "done"'),
        (_line(done=True), 'field "done"'),
        (_line(done=-1), 'field "done"'),
        (_line(done=1.5), 'field "done"'),
        (_line(stage=""), 'field "stage"'),
        (_line(job="../../etc"), 'field "job"'),
        (_line(job=""), 'field "job"'),
        (_line(seconds_left="soon"), 'field "seconds_left"'),
        (_line().replace(b'"done": 1', b'"done": 1, "done": 2'), '"done" is given twice'),
        (_line().replace(b'"seconds_left": null', b'"seconds_left": 1e999'), 'field "seconds_left"'),
        (encode(EVERY_MESSAGE[0]).replace(b'"passed":true', b'"passed":1'), 'field "passed"'),
        (encode(EVERY_MESSAGE[0]).replace(b'"passed":true', b'"past":true'), 'lacks the field "passed"'),
        (encode(EVERY_MESSAGE[2]).replace(b"[40.0,400.0]", b"[40.0]"), 'field "window"'),
        (encode(EVERY_MESSAGE[2]).replace(b"/", b"").replace(b'"image":"a"', b'"image":"a\\u0000"'), 'field "image"'),
        (encode(EVERY_MESSAGE[6]).replace(b"out_of_memory", b"oops"), 'field "code"'),
    ],
)
def test_a_message_that_is_not_of_version_1_is_refused_by_name(line: bytes, what: str) -> None:
    with pytest.raises(ProtocolError, match=what.replace("[", r"\[")) as caught:
        decode(line)
    assert not isinstance(caught.value, NotAMessageError)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"epoch 3/10",
        b"\xff\xfe",
        b"[1, 2]",
        b"42",
        b'{"stage": "a print"}',
        b'{"protocol": 1,',
        b"[" * 50_000,
        b'{"protocol": NaN}',
        b'{"protocol": ' + b"9" * 5000 + b"}",
        b"{}" + b" " * MAX_LINE_BYTES,
    ],
    ids=lambda line: repr(line[:12]),
)
def test_garbage_is_told_apart_from_messages(line: bytes) -> None:
    with pytest.raises(NotAMessageError):
        decode(line)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        decode(data)


def test_a_message_over_the_limit_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="over the limit"):
        encode(Result("j", "x" * MAX_LINE_BYTES, {}))


@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b""))), st.integers(1, 50))
def test_lines_are_found_however_the_stream_is_cut(lines: list[bytes], step: int) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    splitter = LineSplitter()
    found = [line for n in range(0, len(stream), step) for line in splitter.feed(stream[n : n + step])]
    assert found == [line for line in lines if line.strip()]
    assert list(splitter.finish()) == []


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_endless_line_is_dropped_and_the_next_one_read(step: int) -> None:
    splitter = LineSplitter(limit=10)
    stream = b"x" * 25 + b"\n123456789\n" + b"0123456789\nend"
    found = [line for n in range(0, len(stream), step) for line in splitter.feed(stream[n : n + step])]
    assert found == [OverlongLine(25), b"123456789", OverlongLine(10)]  # the limit counts the line end
    assert list(splitter.finish()) == [b"end"]
