"""Qt's own warnings, such as a layout that is set twice: a test with one of them fails."""

from __future__ import annotations

import atexit
import sys
from typing import Any

from PySide6 import QtCore

# What the off-screen platform cannot do and says so.
_NOISE = frozenset(
    f"This plugin does not support {what}" for what in ("propagateSizeHints()", "raise()", "grabbing the keyboard")
)
warnings: list[str] = []


def _heard(kind: Any, _context: Any, text: str) -> None:
    if text not in _NOISE:
        print(f"Qt: {text}", file=sys.stderr)
        if kind != QtCore.QtMsgType.QtDebugMsg:
            warnings.append(text)


def listen() -> None:
    """Collect warnings until the process ends."""
    QtCore.qInstallMessageHandler(_heard)
    atexit.register(QtCore.qInstallMessageHandler, None)
