"""`slicer.packaging` and `slicer.i18n`: what was asked of them is remembered, and they answer as a test says."""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .api import functions

translations: dict[str, str] = {}


class Pip:
    """What the module under test asked pip for, and what pip shall answer."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, dict[str, Any]]] = []
        self.installed: set[str] = set()
        self.error: Exception | None = None
        self.on_call: Callable[..., Any] | None = None

    def clear(self) -> None:
        """Forget everything."""
        self.__init__()  # type: ignore[misc]

    def call(self, name: str, requirements: Any, options: dict[str, Any]) -> None:
        """Record a call; raise what the test wants raised."""
        self.calls.append((name, requirements, options))
        if self.on_call:
            self.on_call(name, requirements, options)
        if self.error:
            raise self.error


pip = Pip()


def packaging() -> types.ModuleType:
    """The module `slicer.packaging`."""
    module = types.ModuleType("slicer.packaging")

    def load_requirements(path: Any) -> list[str]:
        lines = (line.split("#")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line and not line.startswith("-")]

    def pip_check(req: Any, _seen: Any = None) -> bool:
        wanted = [req] if isinstance(req, str) else list(req)
        return all(re.split(r"[<>=!~\[; ]", str(name))[0].lower() in pip.installed for name in wanted)

    def record(name: str) -> Callable[..., Any]:
        allowed = set(re.findall(r"(\w+):", functions("slicer.packaging")[name]))

        def call(requirements: Any, **options: Any) -> None:
            if set(options) - allowed:
                raise TypeError(f"slicer.packaging.{name} has no argument {sorted(set(options) - allowed)}")
            pip.call(name, requirements, options)

        return call

    module.load_requirements, module.pip_check = load_requirements, pip_check  # type: ignore[attr-defined]
    for name in ("pip_ensure", "pip_install", "pip_uninstall"):
        setattr(module, name, record(name))
    module.isPipInstallInProgress = lambda: False  # type: ignore[attr-defined]
    return module


def i18n() -> types.ModuleType:
    """The module `slicer.i18n`."""
    module = types.ModuleType("slicer.i18n")
    module.tr = lambda text: translations.get(text, text)  # type: ignore[attr-defined]
    module.translate = lambda _context, text: translations.get(text, text)  # type: ignore[attr-defined]
    module.getContext = lambda source_file: Path(source_file).stem  # type: ignore[attr-defined]
    return module
