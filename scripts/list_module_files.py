"""Write the list of the library's files into DeferredSegSlicer/CMakeLists.txt, which Slicer's build needs by hand.

    python scripts/list_module_files.py            # write the list
    python scripts/list_module_files.py --check    # change nothing; exit 1 and print the lines that differ

Slicer installs the files that are named there and no others: a file that is missing in the list is missing in the
installed extension.
"""

from __future__ import annotations

import sys
from pathlib import Path

MODULE = Path(__file__).resolve().parents[1] / "DeferredSegSlicer"
BEGIN, END = "  # list begins", "  # list ends"


def files_on_disk(module: Path) -> list[str]:
    """Every Python file of the library, as its CMake line names it, sorted."""
    library = module / "DeferredSegSlicerLib"
    paths = sorted(path.relative_to(library).as_posix() for path in library.rglob("*.py"))
    return [f"  ${{MODULE_NAME}}Lib/{path}" for path in paths]


def split_at_markers(text: str) -> tuple[list[str], list[str], list[str]]:
    """Lines up to the first marker, between the two, and from the second on. Raises ValueError without markers."""
    lines = text.splitlines()
    if lines.count(BEGIN) != 1 or lines.count(END) != 1:
        raise ValueError(f'CMakeLists.txt needs one line "{BEGIN.strip()}" and one line "{END.strip()}"')
    begin, end = lines.index(BEGIN), lines.index(END)
    return lines[: begin + 1], lines[begin + 1 : end], lines[end:]


def main(arguments: list[str], module: Path = MODULE) -> int:
    """Write or check the list of the module folder; 0 if all is well, 1 if a check finds a difference."""
    cmake = module / "CMakeLists.txt"
    before, listed, after = split_at_markers(cmake.read_text(encoding="utf-8"))
    wanted = files_on_disk(module)
    if "--check" not in arguments:
        cmake.write_text("\n".join([*before, *wanted, *after]) + "\n", encoding="utf-8")
        print(f"{len(wanted)} files listed")
        return 0
    missing = [line for line in wanted if line not in listed]
    stale = [line for line in listed if line not in wanted]
    if missing:
        print(
            "add to DeferredSegSlicer/CMakeLists.txt (python scripts/list_module_files.py does it):", *missing, sep="\n"
        )
    if stale:
        print("remove from DeferredSegSlicer/CMakeLists.txt (no such file):", *stale, sep="\n")
    if not missing and not stale and listed != wanted:
        print("the list in DeferredSegSlicer/CMakeLists.txt is not sorted, or names a file twice")
    return int(listed != wanted)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
