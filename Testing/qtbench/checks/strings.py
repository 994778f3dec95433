"""Whether every text that a user reads goes through `_()`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from .types import dotted

SETTERS = frozenset(
    [
        "setText",
        "setToolTip",
        "setWindowTitle",
        "setInformativeText",
        "setDetailedText",
        "setTitle",
        "setStatusTip",
        "setWhatsThis",
        "setPlaceholderText",
        "setLabelText",
        "setPlainText",
        "setHtml",
        "addItem",
        "addItems",
        "addAction",
        "addButton",
        "setHeaderLabels",
        "setHorizontalHeaderLabels",
        "setSuffix",
        "setPrefix",
        "addRow",
        "addTab",
        "setTabText",
        "appendPlainText",
        "setFormat",
        "errorDisplay",
        "infoDisplay",
        "warningDisplay",
        "confirmYesNoDisplay",
        "confirmOkCancelDisplay",
        "showStatusMessage",
        "delayDisplay",
        "messageBox",
        "getOpenFileName",
        "getExistingDirectory",
        "getSaveFileName",
        "getText",
        "getItem",
    ]
)
PROPERTIES = frozenset(
    [
        "text",
        "toolTip",
        "windowTitle",
        "title",
        "suffix",
        "prefix",
        "statusTip",
        "placeholderText",
        "noneDisplay",
        "informativeText",
        "labelText",
    ]
)
CLASSES = frozenset(
    ["QLabel", "QPushButton", "QCheckBox", "QAction", "QGroupBox", "QRadioButton", "QToolButton", "QTableWidgetItem"]
)
_WORD = re.compile(r"[^\W\d_]{2,}")
_SENTENCE = re.compile(r"[^\W\d_]{2,},? [^\W\d_]{2,}")
# Texts that no user reads: what loggers and exceptions for programmers say, style sheets, signatures, formats.
_UNREAD_CALLS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "compile", "getLogger"})


def check_strings(path: Path, text: str | None = None) -> list[str]:
    """Bare texts of a file in `ui/`, and calls of `_()` that a translator's tools cannot read."""
    tree = ast.parse(path.read_text(encoding="utf-8") if text is None else text)
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    found: set[tuple[int, str]] = set()
    for node in ast.walk(tree):
        found |= set(_shown(node)) | set(_translations(node))
        if _is_sentence(node) and _is_read(node, parents):
            found.add((node.lineno, f"{_short(node.value)} does not go through _()"))
    return [f"{path.name}:{line}: {problem}" for line, problem in sorted(found)]


def _is_sentence(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(_SENTENCE.search(node.value))


def _shown(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Bare texts given to a setter, a property or the constructor of a widget."""
    if isinstance(node, ast.Call):
        name = dotted(node.func).rpartition(".")[2] or getattr(node.func, "attr", "")
        if name in SETTERS or name in CLASSES:
            for argument in [*node.args, *(k.value for k in node.keywords)]:
                yield from _bare(argument)
    if (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Attribute)
        and node.targets[0].attr in PROPERTIES
    ):
        yield from _bare(node.value)


def _bare(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _WORD.search(node.value):
        yield node.lineno, f"{_short(node.value)} does not go through _()"
    elif isinstance(node, ast.JoinedStr) and any(
        _WORD.search(str(getattr(v, "value", ""))) for v in node.values if isinstance(v, ast.Constant)
    ):
        yield node.lineno, "an f-string with words: use _('...{name}...').format(name=...)"
    elif isinstance(node, ast.BinOp):
        yield from _bare(node.left)
        yield from _bare(node.right)
    elif isinstance(node, ast.IfExp):
        yield from _bare(node.body)
        yield from _bare(node.orelse)
    elif isinstance(node, (ast.List, ast.Tuple)):
        for element in node.elts:
            yield from _bare(element)


def _translations(node: ast.AST) -> Iterator[tuple[int, str]]:
    """`_()` takes one text, written out: lupdate reads the source, it does not run it."""
    if isinstance(node, ast.Call) and dotted(node.func) == "_":
        whole = len(node.args) == 1 and not node.keywords
        if not whole or not isinstance(node.args[0], ast.Constant) or not isinstance(node.args[0].value, str):
            yield node.lineno, "_() takes one text that is written out, without f-string, sum or name"


def _is_read(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    parent = parents.get(node)
    if isinstance(parent, ast.Expr):  # a docstring, or the note below a constant
        return False
    while parent is not None and not isinstance(parent, ast.stmt):
        if isinstance(parent, ast.Call):
            name = dotted(parent.func).rpartition(".")[2]
            if name == "_" or name in _UNREAD_CALLS or name.endswith("StyleSheet"):
                return False
        node, parent = parent, parents.get(parent)
    if isinstance(parent, ast.Assign) and dotted(parent.targets[0]).endswith("NAME"):  # nodes keep their names
        return False
    return not isinstance(parent, (ast.Raise, ast.Assert))


def _short(text: str) -> str:
    return repr(text if len(text) < 50 else text[:47] + "...")
