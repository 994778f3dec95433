"""`deferredseg check`: is a case folder whole, and was nothing in it changed?"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ..core.case import check_case
from ..core.errors import DamagedCaseError
from .console import output
from .options import CaseArgument


def check(
    case: CaseArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON alone.")] = False,
) -> int:
    """Check every file of a case against its checksum, size and schema; exit code 4 if something is wrong."""
    findings = check_case(case)
    damaged = [finding for finding in findings if finding.severity == "damage"]
    if as_json:
        found = [{"severity": finding.severity, "sentence": finding.sentence} for finding in findings]
        print(json.dumps({"case": str(case), "whole": not damaged, "findings": found}, indent=2))
        return DamagedCaseError.exit_code if damaged else 0
    for finding in findings:
        output().print(f"{finding.severity}: {finding.sentence}", markup=False, soft_wrap=True)
    if damaged:
        found_in = f"{len(damaged)} finding{'' if len(damaged) == 1 else 's'}"
        raise DamagedCaseError(f'case "{case}" is damaged: {found_in}')
    output().print(f'case "{case}" is whole', markup=False, soft_wrap=True)
    return 0
