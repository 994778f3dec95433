"""`deferredseg check`: is a case folder whole, and was nothing in it changed?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.case import Finding, check_case
from ..core.errors import DamagedCaseError
from .console import output
from .folders import CasesArgument, Column, cases_in, exit_code_of, failures_of, for_each, print_summary


def check(
    case: CasesArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON alone.")] = False,
) -> int:
    """Check every file of a case against its checksum, size and schema; exit code 4 if something is wrong."""
    cases = cases_in(case)
    if cases:
        return _check_folder(case, cases, as_json)
    findings = check_case(case)
    damaged = _damage(findings)
    if as_json:
        print(json.dumps(_as_plain(str(case), findings), indent=2))
        return DamagedCaseError.exit_code if damaged else 0
    for finding in findings:
        output().print(f"{finding.severity}: {finding.sentence}", markup=False, soft_wrap=True)
    if damaged:
        raise DamagedCaseError(f'case "{case}" is damaged: {_counted(damaged)}')
    output().print(f'case "{case}" is whole', markup=False, soft_wrap=True)
    return 0


def _damage(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.is_damage]


def _counted(damaged: Sequence[Finding]) -> str:
    return f"{len(damaged)} finding{'' if len(damaged) == 1 else 's'}"


def _as_plain(name: str, findings: Sequence[Finding]) -> dict[str, Any]:
    found = [{"severity": finding.severity, "sentence": finding.sentence} for finding in findings]
    return {"case": name, "whole": not _damage(findings), "findings": found}


def _check_folder(folder: Path, cases: Sequence[Path], as_json: bool) -> int:
    """Every case of a folder; a damaged one counts as failed, and what is wrong with it is told."""
    outcomes = for_each(folder, cases, "checking", check_case, _damage_error, quiet=as_json)
    if as_json:
        whole = [_as_plain(o.name, o.value) for o in outcomes if o.value is not None]
        print(json.dumps({"cases": whole, "failed": list(failures_of(outcomes))}, indent=2))
    else:
        for outcome in outcomes:
            for finding in outcome.value or ():
                output().print(f"{outcome.name}: {finding}", markup=False, soft_wrap=True)
        print_summary(f"{len(cases)} cases checked", outcomes, _COLUMNS)
    return exit_code_of(outcomes)


def _damage_error(findings: Sequence[Finding]) -> DamagedCaseError | None:
    """A case in which damage was found has failed, though the check itself went well."""
    damaged = _damage(findings)
    return DamagedCaseError(f"damaged: {_counted(damaged)}") if damaged else None


_COLUMNS: tuple[Column[list[Finding]], ...] = (
    Column("State", lambda found: "DAMAGED" if _damage(found) else "whole", numbers=False),
    Column("Damage", lambda found: str(len(_damage(found)))),
    Column("Notes", lambda found: str(len(found) - len(_damage(found)))),
)
