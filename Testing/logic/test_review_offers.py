"""Labelings on offer: found by themselves, proposed by the network, drawn, and gone without a trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import slicer
from case_on_node import node_ids, places_of_segment
from DeferredSegSlicerLib.core.errors import BadInputError
from DeferredSegSlicerLib.core.regions import Region
from DeferredSegSlicerLib.core.review import Candidate
from DeferredSegSlicerLib.mrml.review.names import ROLE_PREVIEW
from review_bench import LEFT_HANDED, OBLIQUE, Bench, a_bench  # noqa: F401  a fixture

MakeBench = Callable[..., Bench]


class Network:
    """Proposes labelings when the test says so."""

    def __init__(self) -> None:
        self.asked: list[Region] = []
        self.stopped = 0
        self._done: Callable[[Sequence[Candidate]], None] = lambda _: None

    def __call__(self, region: Region, done: Callable[[Sequence[Candidate]], None]) -> Callable[[], None]:
        self.asked.append(region)
        self._done = done

        def stop() -> None:
            self.stopped += 1

        return stop

    def answer(self, *labels: np.ndarray) -> None:
        self._done([Candidate(f"mask {number}", values) for number, values in enumerate(labels, 2)])


def preview_node(bench: Bench) -> Any:
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode", bench.scene)
    return next((n for n in nodes if n.GetAttribute("DeferredSeg.Role") == ROLE_PREVIEW), None)


@pytest.mark.parametrize("grid", [OBLIQUE, LEFT_HANDED], ids=["oblique", "left-handed"])
def test_lines_show_where_the_structure_would_be(a_bench: MakeBench, grid: Any) -> None:  # noqa: F811
    bench = a_bench(grid)
    review = bench.review
    review.begin("extent")
    nodes = node_ids(bench.scene)
    options = review.alternatives()
    geometry = bench.case.geometry
    for option in options:
        after = bench.labels.copy()
        after.reshape(-1)[option.alternative.after.indices] = option.alternative.after.labels
        expected = geometry.ras_of(np.argwhere(after == 1)[:, ::-1])
        expected = expected[np.lexsort(np.round(expected, 3).T)]
        shown = places_of_segment(preview_node(bench), str(option.number))
        assert np.allclose(shown, expected, atol=1e-4), option.name
        color = preview_node(bench).GetSegmentation().GetSegment(str(option.number)).GetColor()
        assert np.allclose(color, option.color)
    review.next()
    assert node_ids(bench.scene) == nodes and review.offered == ()


def test_they_are_found_by_themselves_a_moment_after_a_region_is_gone_to(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    bench.wait(0.5)
    assert review.offered == (), "nobody asked for them"
    review.show_alternatives(True)
    bench.services.run_until(lambda: len(review.offered) == 4, 5)
    review.next()
    assert review.offered == () and preview_node(bench) is None
    bench.services.run_until(lambda: len(review.offered) == 4 and preview_node(bench) is not None, 5)
    review.take(1)
    assert preview_node(bench) is None
    review.show_alternatives(False)
    review.next()
    bench.wait(0.5)
    assert review.offered == () and preview_node(bench) is None


def test_a_key_that_nothing_is_on_takes_nothing(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review = bench.review
    review.begin("extent")
    for number in (0, 5, -1):
        with pytest.raises(BadInputError, match=f"no labeling {number} on offer"):
            review.take(number)
    assert review.session.journal.entries == ()
    assert review.take(3).entry.decision.name == "fill", "a script need not look for them first"


def test_what_the_network_proposes_comes_after_what_has_a_key_already(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review, network = bench.review, Network()
    review.set_reprompt(network)
    review.begin("extent")
    first = review.alternatives()
    assert [o.name for o in first] == ["tighter", "wider"] and network.asked == [review.region]
    with pytest.raises(BadInputError, match="no labeling 3"):
        review.take(3)
    news: list[int] = []
    review.changed.connect(lambda: news.append(1))
    half = np.ones(len(review.region.indices), np.uint8)
    half[::2] = 0
    network.answer(half, half, np.full_like(half, 9), half[:-1])  # twice the same, no structure, too short
    assert [o.name for o in review.offered] == ["tighter", "wider", "mask 2", "drop"] and news
    assert review.offered[:2] == first or [o.name for o in first] == [o.name for o in review.offered[:2]]
    assert preview_node(bench).GetSegmentation().GetNumberOfSegments() == 4
    review.take(3)
    assert np.array_equal(bench.labels.reshape(-1)[review.region.indices], half)


def test_a_network_that_fails_leaves_the_stored_maps(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review, network = bench.review, Network()
    review.begin("extent")
    review.set_reprompt(network)
    review.alternatives()
    network.answer()
    assert [o.name for o in review.offered] == ["tighter", "wider", "fill", "drop"]


def test_a_slow_network_keeps_no_key_from_the_reader_for_long(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review, network = bench.review, Network()
    review.set_reprompt(network)
    review.begin("extent")
    review.alternatives()
    bench.wait(0.3)
    assert len(review.offered) == 2
    bench.time += 3
    bench.wait(0.3)
    names = ["tighter", "wider", "fill", "drop"]
    assert [o.name for o in review.offered] == names
    assert preview_node(bench).GetSegmentation().GetNumberOfSegments() == 4
    half = np.ones(len(review.region.indices), np.uint8)
    half[::2] = 0
    network.answer(half)
    assert [o.name for o in review.offered] == names, "no key changes its meaning under the reader's finger"


def test_an_answer_that_comes_too_late_is_not_for_the_next_region(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review, network = bench.review, Network()
    review.set_reprompt(network)
    review.begin("extent")
    review.alternatives()
    late = network._done
    review.next()
    assert network.stopped == 1
    review.alternatives()
    late([Candidate("late", np.zeros(len(review.region.indices), np.uint8))])
    assert [o.name for o in review.offered] == ["tighter", "wider"]


def test_a_script_can_wait_for_the_network(a_bench: MakeBench) -> None:  # noqa: F811
    bench = a_bench()
    review, network = bench.review, Network()
    review.set_reprompt(network)
    review.begin("extent")

    def answer() -> None:
        stop()
        half = np.ones(len(review.region.indices), np.uint8)
        half[::2] = 0
        network.answer(half)

    stop = bench.services.every(100, answer)
    assert [o.name for o in review.alternatives(wait=True)] == ["tighter", "wider", "mask 2", "drop"]
