"""A look-alike of PythonQt, CTK and Slicer's widgets on PySide6, for tests of the panel.

`install()` puts `qt`, `ctk`, `slicer.qMRML*`, `slicer.qSlicer*`, `slicer.app` and Slicer's Python modules in place, all
held to `qt_api.json`, which was read from a real Slicer 5.13: a name that is not in it raises `NotInSlicer`. The scene
and `slicer.util` are slicer-core's own. The code under test cannot tell and must not ask where it runs.

For tests: `user.answer(...)` says what the user will answer to coming dialogs, `user.shown` what came up; stand-ins
are operated by their `bench_...` members (`selector.bench_choose(node)`, `slider.bench_drag(3)`);
`slicer_python.load_module` loads a scripted module; `packaging.pip` remembers what was to be installed; `reset()` goes
before a test and `problems()` after it.

What it cannot tell: the look and size of CTK's and Slicer's widgets; the effects of the Segment Editor; anything drawn
in a view; PythonQt's ownership of objects; whether Qt 5 draws or times things differently. A name that the table lists
and no test needed yet raises NotImplementedError.
"""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# PythonQt's enums are integers; PySide6 decides on that when it is imported.
if "PySide6" in sys.modules and getattr(sys, "pyside6_option_python_enum", 0) != 3:
    raise ImportError("import qtbench before PySide6")
sys.pyside6_option_python_enum = 3  # type: ignore[attr-defined]

from .api import NotInSlicer, class_api, functions, short_name_api, table  # noqa: E402
from .dialogs import UnansweredDialog, user  # noqa: E402
from .signals import kept, slot_errors  # noqa: E402

__all__ = [
    "NotInSlicer",
    "UnansweredDialog",
    "class_api",
    "connections",
    "functions",
    "install",
    "problems",
    "reset",
    "short_name_api",
    "slot_errors",
    "table",
    "user",
]
_installed: dict[str, Any] = {}


def install() -> Any:
    """Put the look-alike in place, once a process; the stand-in of `slicer.app`."""
    if not _installed:
        from .application import start

        _installed["app"] = start()
    return _installed["app"]


def reset() -> None:
    """Forget what a test did: answers, errors of slots, pip calls, settings, opened links, windows left open."""
    from . import messages, packaging, qt_module

    user.clear()
    slot_errors.clear()
    messages.warnings.clear()
    kept.clear()
    packaging.pip.clear()
    packaging.translations.clear()
    qt_module.opened_urls.clear()
    qt_module.QSettings().clear()
    _installed["app"].bench_reset()


def connections(sender: Any) -> int:
    """How many connections Python code has made on an object."""
    return sender.bench_connections.count()


def problems() -> list[str]:
    """What must not be there at the end of a test: errors of slots, Qt's warnings, answers that no dialog asked for."""
    from . import messages

    found = [f"a slot raised {error!r}" for error in slot_errors]
    found += [f"Qt warned: {text}" for text in messages.warnings]
    if user.pending():
        found.append(f"{user.pending()} scripted answers were not asked for")
    if _installed["app"].bench_paused():
        found.append("pauseRender was called without resumeRender")
    return found
