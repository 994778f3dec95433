"""Whatever two readers do, and however their sessions end: nothing decided is lost, nothing else ever changes.

Random sequences of decisions, undoing, other budgets, saving, reopening and killing are played against a slow model of
what the rules of docs/review_format.md say, voxel by voxel.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case, check_case, open_case
from DeferredSegSlicerLib.core.regions import Region
from DeferredSegSlicerLib.core.review import Limit, Reader, ReviewSession, read_corrected, read_review
from DeferredSegSlicerLib.core.worklist import Worklist
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

READERS = ("edge", "inside")
BUDGETS = (0.02, 0.05, 0.1, 0.2, 1.0)
DECISIONS = ("accept", "edit", "alternative", "reassign", "skip", "settle")
JUDGING = ("accept", "edit", "alternative")

steps = st.tuples(
    st.sampled_from(READERS),
    st.sampled_from([*DECISIONS, *DECISIONS, "undo", "undo any", "budget", "budget", "save", "reopen", "kill", "look"]),
    st.integers(0, 2**32),
)


@dataclass
class Line:
    """A line as the model of the rules has it."""

    kind: str
    labels: dict[int, int]
    answers: set[tuple[str, int]] = field(default_factory=set)
    holds: bool = True


class Rules:
    """The rules, slowly: for each reader the lines, for each voxel the last line that holds."""

    def __init__(self, label: np.ndarray) -> None:
        self.model = label.reshape(-1)
        self.lines: dict[str, list[Line]] = {reader: [] for reader in READERS}

    def holding(self, reader: str) -> list[int]:
        """Numbers, from 1, of the reader's decisions that hold."""
        return [n for n, line in enumerate(self.lines[reader], 1) if line.holds and line.kind != "undo"]

    def top(self, reader: str, voxel: int) -> int | None:
        holding = [n for n, line in enumerate(self.lines[reader]) if line.holds and voxel in line.labels]
        return holding[-1] if holding else None

    def rest(self, reader: str, region: Region) -> list[int]:
        """Voxels of a region that the reader has not judged; all, if all are judged."""
        everything = region.indices.tolist()
        tops = {v: self.top(reader, v) for v in everything}
        rest = [v for v, n in tops.items() if n is None or self.lines[reader][n].kind not in JUDGING]
        return rest or everything

    def voices(self, voxel: int) -> dict[str, Line]:
        """The lines that speak: those on top that no other line on top answers."""
        tops = {r: n for r in READERS if (n := self.top(r, voxel)) is not None}
        answered = {a for r, n in tops.items() for a in self.lines[r][n].answers}
        return {r: self.lines[r][n] for r, n in tops.items() if (r, n) not in answered}

    def truth(self) -> tuple[np.ndarray, np.ndarray]:
        """Corrected labels and judged mask, flat."""
        corrected, judged = self.model.copy(), np.zeros(len(self.model), bool)
        for voxel in {v for lines in self.lines.values() for line in lines if line.holds for v in line.labels}:
            said = {line.labels[voxel] for line in self.voices(voxel).values() if line.kind in JUDGING}
            if len(said) == 1:
                corrected[voxel], judged[voxel] = said.pop(), True
        return corrected, judged


class Play:
    """Two readers at one case, and the rules beside them."""

    def __init__(self, case: Case, work: Worklist) -> None:
        self.case, self.work = case, work
        self.rules = Rules(case.label())
        self.sessions = {reader: self.opened(reader) for reader in READERS}
        self.kept: dict[str, list[str]] = {reader: [] for reader in READERS}

    def opened(self, reader: str) -> ReviewSession:
        return ReviewSession(open_case(self.case.folder), self.work, Reader(reader))

    def do(self, reader: str, what: str, seed: int) -> None:
        dice = random.Random(seed)
        session = self.sessions[reader]
        if session.rows:
            session.go_to(dice.choice(session.rows[:2]).id)  # few, so that decisions meet
        if what in DECISIONS:
            if session.rows:
                self.decide(reader, session, what, dice)
        elif what == "undo":
            self.undone(reader, session.undo())
        elif what == "undo any":
            self.undone(reader, session.undo(dice.choice(self.rules.holding(reader) or [None])))
        elif what == "budget":
            session.set_budget(dice.choice(BUDGETS))
        elif what == "save":
            session.save()
        elif what == "look":
            session.refresh()
            session.show_all_readers(dice.random() < 0.5)
        else:
            self.end(reader, session, what == "kill", dice)

    def decide(self, reader: str, session: ReviewSession, what: str, dice: random.Random) -> None:
        region = session.current.region
        if what == "settle":
            session.refresh()
        rest = self.rules.rest(reader, region)
        if what == "skip":
            change, line = session.skip(), Line(what, dict.fromkeys(rest, 0))
        elif what == "reassign":
            change, line = (
                session.reassign(dice.choice([e for e in ("edge", "inside", "outside") if e != reader])),
                None,
            )
            line = Line(what, dict.fromkeys(rest, 0))
        elif what in ("accept", "settle"):
            change = session.accept(settle=what == "settle")
            line = Line("accept", {v: int(self.rules.model[v]) for v in rest})
        elif what == "alternative" and session.alternatives():
            taken = dice.choice(session.alternatives())
            change = session.take(taken)
            line = Line(what, dict(zip(region.indices.tolist(), taken.after.labels.tolist(), strict=True)))
        else:
            change, line = self.edit(session, region, dice)
        other = next(r for r in READERS if r != reader)
        if what == "settle":
            line.answers = {
                (other, n)
                for v, mine in line.labels.items()
                if (n := self.rules.top(other, v)) is not None and other in self.rules.voices(v)
                if self.rules.lines[other][n].kind in JUDGING and self.rules.lines[other][n].labels[v] != mine
            }
        assert sorted(line.labels) == change.voxels.tolist()
        self.rules.lines[reader].append(line)
        self.kept[reader].append(change.entry.sha)

    def edit(self, session: ReviewSession, region: Region, dice: random.Random) -> tuple[object, Line]:
        """Paint over the region and a voxel or two beside it."""
        labels = session.labels.copy()
        flat = labels.reshape(-1)
        flat[region.indices] = [dice.randrange(3) for _ in region.indices]
        box, mask = session.limit(3.0, region)
        beside = np.argwhere(mask & ~np.isin(np.arange(flat.size).reshape(labels.shape)[box], region.indices))
        for k, j, i in beside[[dice.randrange(len(beside)) for _ in range(2)]]:
            labels[box][k, j, i] = dice.randrange(3)
        changed = np.flatnonzero(labels.reshape(-1) != session.labels.reshape(-1)).tolist()
        touched = sorted({*changed, *region.indices.tolist()})
        change = session.edit(labels, region, limit=Limit(3.0))
        return change, Line("edit", {v: int(flat[v]) for v in touched})

    def undone(self, reader: str, change: object) -> None:
        if change is None:
            assert not self.rules.holding(reader)
            return
        self.rules.lines[reader][change.entry.decision.line.n - 1].holds = False
        self.rules.lines[reader].append(Line("undo", {}))
        self.kept[reader].append(change.entry.sha)

    def end(self, reader: str, session: ReviewSession, kill: bool, dice: random.Random) -> None:
        """End a session, or take its lock away as death does, perhaps with the beginning of a line left behind."""
        where = session.current.id if session.rows else None
        if kill:
            session.journal._lock.release()
            path = session.journal.path
            if path.exists() and dice.random() < 0.7:
                with path.open("ab") as file:
                    file.write(b'{"schema":1,"n":99,"case":"'[: dice.randrange(1, 27)])
        else:
            session.close()
        again = self.sessions[reader] = self.opened(reader)
        assert [entry.sha for entry in again.journal.entries] == self.kept[reader]
        if self.kept[reader] and where is not None:
            assert again.current.id == where and again.budget == session.budget

    def check(self) -> None:
        state = read_review(open_case(self.case.folder))
        corrected, judged = self.rules.truth()
        assert np.array_equal(state.corrected().reshape(-1), corrected)
        assert np.array_equal(state.judged().reshape(-1), judged)
        assert np.array_equal(corrected[~judged], self.rules.model[~judged])
        for reader, session in self.sessions.items():
            assert [entry.sha for entry in state.entries if entry.reader.id == reader] == self.kept[reader]
            view = session.view
            assert np.array_equal(session.labels, view.corrected())
            regions = [row.region for row in session.table.all_rows]
            assert tuple(row.status for row in session.table.all_rows) == view.statuses_of(regions)
            own = state.of(reader).corrected()
            assert np.array_equal(session.state.of(reader).corrected(), own)

    def finish(self) -> None:
        for session in self.sessions.values():
            session.save()
            session.close()
        if any(self.kept.values()):
            assert np.array_equal(read_corrected(self.case)[0].reshape(-1), self.rules.truth()[0])
        assert not [finding for finding in check_case(self.case.folder) if finding.is_damage]


@pytest.fixture(scope="module")
def a_place(tmp_path_factory: pytest.TempPathFactory, write_review_case: Callable[..., Case]) -> Path:
    return write_review_case(tmp_path_factory.mktemp("property") / "case").folder


# Not shrunk: an example takes a third of a second, and a failing one reads well enough as it is.
@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(st.lists(steps, min_size=6, max_size=20))
def test_nothing_decided_is_lost_and_voxels_outside_judged_regions_never_change(
    a_place: Path, a_worklist: Worklist, played: list[tuple[str, str, int]]
) -> None:
    shutil.rmtree(a_place / "review", ignore_errors=True)
    play = Play(open_case(a_place), a_worklist)
    try:
        for reader, what, seed in played:
            play.do(reader, what, seed)
            play.check()
        play.finish()
    finally:
        for session in play.sessions.values():
            session.close()
