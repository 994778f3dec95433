"""Whether a decision can be written: of this case, within its limit, and not undoing what does not hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..case_reader import Case
from ..errors import BadInputError
from .decisions import AnyDecision, Decision, Edit, LineRef, Reassign, Statistics, Undo
from .limits import beyond_limit
from .runs import position_in


def check_decision(decision: AnyDecision, case: Case, active: Mapping[int, str]) -> None:
    """Raise BadInputError unless a reader whose decisions in force are `active` (sha256 by line) may decide so."""
    if isinstance(decision, Undo):
        _check_undo(decision.line, active)
        return
    structures = [s.id for s in case.structures]
    if decision.region.structure not in structures:
        raise BadInputError(
            f'structure "{decision.region.structure}" is not in the case; it has {", ".join(structures)}'
        )
    if not 0 <= decision.region.budget <= 1:
        raise BadInputError(f"budget is {decision.region.budget}, expected a share from 0 to 1")
    if decision.indices[-1] >= case.geometry.voxel_count or decision.voxels.indices[-1] >= case.geometry.voxel_count:
        raise BadInputError("the decision names voxels outside the volume")
    if list(decision.statistics.before_ml) != structures or list(decision.statistics.after_ml) != structures:
        raise BadInputError("the statistics of the decision are not of the case's structures")
    experts = [e.id for e in case.experts]
    if isinstance(decision, Reassign) and decision.to not in experts:
        raise BadInputError(f'no expert has the id "{decision.to}"; there are: {", ".join(experts)}')
    if isinstance(decision, Edit):
        _check_edit(decision, case)


def statistics_of(decision: Decision, case: Case, label: np.ndarray) -> Statistics:
    """The statistics that a decision should carry, from the model's labels (flat or [k, j, i])."""
    before = label.reshape(-1)[decision.indices]
    after = decision.after.labels if isinstance(decision, Edit) else before
    return Statistics.of(before, after, case.structures, case.geometry.voxel_ml)


def _check_undo(line: LineRef, active: Mapping[int, str]) -> None:
    if active.get(line.n) != line.sha:
        raise BadInputError(f"line {line.n} of the journal is no decision that holds, so it cannot be undone")


def _check_edit(decision: Edit, case: Case) -> None:
    region, touched = decision.voxels.indices, decision.after.indices
    if not position_in(touched, region)[1].all():
        raise BadInputError("the edit leaves voxels of its region without a label")
    if decision.after.label.max() > len(case.structures):
        raise BadInputError(f"the edit has a label {int(decision.after.label.max())}, which is of no structure")
    beyond = beyond_limit(region, touched, case.geometry, decision.limit)
    if len(beyond):
        k, j, i = (int(c) for c in np.unravel_index(beyond[0], case.geometry.shape))
        raise BadInputError(
            f"the edit changes {len(beyond)} voxels more than {decision.limit.margin_mm:g} mm from the region, the "
            f"first at ({i}, {j}, {k}); lift the limit or undo them"
        )
