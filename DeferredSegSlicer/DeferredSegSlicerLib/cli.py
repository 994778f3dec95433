"""The command line: `deferredseg`. Each command lives in `command_line`; errors become exit codes here, in one place.

Exit codes: 0 done, 2 bad input, 3 device or memory, 4 damaged case, 130 stopped by Ctrl-C, 143 told to end, 1 a bug.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType

import typer

from .command_line import (
    checking,
    deciding,
    evaluating,
    exporting,
    information,
    pictures,
    protocol,
    reviewing,
    segmenting,
    training,
)
from .core.errors import DeferredSegError

USAGE_EXIT, MEMORY_EXIT, BUG_EXIT, INTERRUPTED_EXIT, TERMINATED_EXIT = 2, 3, 1, 130, 143
DEBUG_VARIABLE = "DEFERREDSEG_DEBUG"

_ClickError = typer.BadParameter.__mro__[2]
"""Base of all complaints about options, wherever typer keeps it."""

app = typer.Typer(
    name="deferredseg",
    help="Segment CT and MR with deferral: the model decides the voxels it should and hands the others to experts.",
    epilog="Research use only. Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("segment")(segmenting.segment)
app.command("regions")(reviewing.regions)
app.command("decide")(deciding.decide)
app.command("render")(pictures.render)
app.command("report")(pictures.report)
app.command("export")(exporting.export)
app.command("check")(checking.check)
app.command("info")(information.info)
app.command("train")(training.train)
app.command("evaluate")(evaluating.evaluate)
app.command("protocol")(protocol.protocol)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    return explained(lambda: app(args=None if arguments is None else list(arguments), standalone_mode=False))


def explained(action: Callable[[], object]) -> int:
    """Run an action and return its exit code; a complaint is one sentence on stderr, without a traceback."""
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, _end)
    try:
        result = action()
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except DeferredSegError as error:
        return _complain(error.sentence, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("stopped; nothing unfinished was left behind", INTERRUPTED_EXIT)
    except MemoryError:
        return _complain("the computer's memory is full: close other programs or crop the volume", MEMORY_EXIT)
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _usage(error) if isinstance(error, _ClickError) else _bug(error)
    finally:
        signal.signal(signal.SIGTERM, before)


def _bug(error: Exception) -> int:
    """Something that should not happen: said in one sentence, shown in full on demand."""
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exc()
    words = " ".join(str(error).split()) or "no message"
    return _complain(f"unexpected {type(error).__name__}: {words} (set {DEBUG_VARIABLE}=1 to see where)", BUG_EXIT)


def _end(number: int, frame: FrameType | None) -> None:
    """SIGTERM unwinds like any exit, so that half-written files are removed on the way."""
    raise SystemExit(TERMINATED_EXIT)


def _complain(sentence: str, code: int) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return code


def _usage(error: Exception) -> int:
    """A complaint about options: one sentence; a call without a command shows the help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]
        return USAGE_EXIT
    sentence = " ".join(error.format_message().split())  # type: ignore[attr-defined]
    return _complain(f"{sentence} (see deferredseg --help)", USAGE_EXIT)
