"""Translation of what the user reads: `_("...")` as Slicer has it, the text itself where there is no Slicer.

`_` is Slicer's own function, not a wrapper around it: it finds the translation context from the file that calls it.
Sentences with values are written `_("{count} regions").format(count=3)`, so that translators see the whole sentence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable


def _translation() -> Callable[[str], str]:
    if "slicer" in sys.modules:
        try:
            from slicer.i18n import tr
        except ImportError:
            return str
        return tr  # type: ignore[no-any-return]
    return str


_: Callable[[str], str] = _translation()
