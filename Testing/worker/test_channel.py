"""Nothing but messages reaches the client, whatever a library prints, and nobody else reads what the client says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from DeferredSegSlicerLib.worker.protocol import Heartbeat, Segment, decode, encode

LIBRARY = Path(__file__).parents[2] / "DeferredSegSlicer"

CHATTY = """
import ctypes, os, subprocess, sys
from DeferredSegSlicerLib.worker.channel import Channel
from DeferredSegSlicerLib.worker.protocol import Heartbeat
channel = Channel.claim()
print("a print", "caf\\u00e9 \\udcff")
os.write(1, b"a print from C\\n")
sys.__stdout__.write("a print around the corner\\n")
subprocess.run([sys.executable, "-c", "print('a print of a process')"], check=True)
assert sys.stdin.read() == "", "somebody else could read the client's messages"
answers = [type(m).__name__ for m in channel.receive()]
print(answers)
channel.send(Heartbeat(None, float(len(answers))))
"""


def test_only_messages_leave_and_only_the_channel_reads() -> None:
    segment = encode(Segment("j", "a", "b", "c", "d", "e"))
    said = segment + b"garbage\n\xff\xfe\n" + b"x" * 2_000_000 + b"\n" + segment.replace(b"segment", b"sediment")
    done = subprocess.run([sys.executable, "-c", CHATTY], input=said, cwd=LIBRARY, capture_output=True, check=True)
    assert decode(done.stdout) == Heartbeat(None, 5.0)  # one line, and it is the message
    for text in (b"a print caf", b"a print from C", b"around the corner", b"a print of a process"):
        assert text in done.stderr
    expected = "['Segment', 'NotAMessageError', 'NotAMessageError', 'NotAMessageError', 'ProtocolError']"
    assert expected.encode() in done.stderr
