"""Training samples from a reviewed case: nothing counts as truth but what a person judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from DeferredSegSlicerLib.core.case import Case
from DeferredSegSlicerLib.core.corrections import corrections_of
from DeferredSegSlicerLib.core.errors import DamagedCaseError
from DeferredSegSlicerLib.core.review import ReviewSession, read_review

Opener = Callable[..., ReviewSession]


def painted(session: ReviewSession, label: int) -> np.ndarray:
    labels = session.labels.copy()
    labels.reshape(-1)[session.current.region.indices] = label
    return labels


def test_a_case_without_review_has_no_truth(a_review_case: Case) -> None:
    found = corrections_of(a_review_case)
    assert len(found) == 0 and list(found.slices()) == [] and found.judges == ()
    assert np.array_equal(found.corrected, found.model) and not found.judge.any()


def test_accepted_and_edited_voxels_are_truth_and_nothing_else(a_review_case: Case, open_session: Opener) -> None:
    session = open_session("edge")
    judged = np.zeros(a_review_case.geometry.shape, bool)
    for decide in (session.accept, lambda: session.edit(painted(session, 2))):
        judged.reshape(-1)[session.current.region.indices] = True
        decide()
        session.next()
    session.skip()
    session.next()
    session.reassign("inside")
    found = corrections_of(a_review_case)
    assert np.array_equal(found.judged, judged) and np.array_equal(found.judge > 0, judged)
    assert np.array_equal(found.image, a_review_case.image()) and np.array_equal(found.model, a_review_case.label())
    assert np.array_equal(found.wrong, found.model != found.corrected) and found.wrong.any()
    assert len(found) == judged.sum() and found.structures == a_review_case.structures
    assert (found.case_id, found.modality, found.geometry) == (a_review_case.id, "CT", a_review_case.geometry)


def test_what_is_undone_or_disputed_is_no_truth(a_review_case: Case, open_session: Opener) -> None:
    first, second = open_session("edge"), open_session("inside")
    first.accept()
    first.undo()
    assert len(corrections_of(a_review_case)) == 0
    first.edit(painted(first, 1))
    second.edit(painted(second, 2))
    assert len(corrections_of(a_review_case)) == 0
    second.undo()
    assert len(corrections_of(a_review_case)) == first.current.region.voxels


def test_every_truth_has_its_judges(a_review_case: Case, open_session: Opener) -> None:
    first, second = open_session("edge"), open_session("inside")
    regions = [row.region for row in first.rows]
    first.accept(regions[0])
    first.accept(regions[1])
    second.accept(regions[1])
    second.accept(regions[2])
    found = corrections_of(a_review_case, read_review(a_review_case))
    who = {region.id: set(found.judge.reshape(-1)[region.indices].tolist()) for region in regions[:3]}
    names = [[{r.id for r in found.judges[n - 1]} for n in who[region.id]] for region in regions[:3]]
    assert names == [[{"edge"}], [{"edge", "inside"}], [{"inside"}]]
    assert found.judged_by("edge").sum() == regions[0].voxels + regions[1].voxels
    assert found.judged_by("inside").sum() == regions[1].voxels + regions[2].voxels
    assert not found.judged_by("outside").any()


def test_slices_are_those_with_truth_in_them(a_review_case: Case, open_session: Opener) -> None:
    session = open_session("edge")
    session.edit(painted(session, 2))
    region, found = session.current.region, corrections_of(a_review_case)
    samples = list(found.slices())
    low, high = region.slice_range
    assert (samples[0].index, samples[-1].index) == (low, high)
    assert len(samples) == region.slice_count
    for sample in samples:
        for part, whole in (
            (sample.image, found.image),
            (sample.model, found.model),
            (sample.corrected, found.corrected),
            (sample.judged, found.judged),
            (sample.judge, found.judge),
        ):
            assert np.array_equal(part, whole[sample.index]) and part.shape == (20, 24)
        assert sample.judged.any()
    assert sum(s.judged.sum() for s in samples) == len(found)


def test_a_changed_journal_gives_no_samples(a_review_case: Case, open_session: Opener) -> None:
    session = open_session("edge")
    session.accept()
    session.close()
    path: Path = session.journal.path
    path.write_bytes(path.read_bytes().replace(b"accept", b"skip  ", 1))
    with pytest.raises(DamagedCaseError, match="line 1 was changed"):
        corrections_of(a_review_case)
