"""The edges of the cache's small pieces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fakes.kv import THETA, FakeForward, Row, frame_content
from livestar.kv import (
    Chunk,
    Content,
    PagePool,
    PositionPolicy,
    Segment,
    SegmentKind,
    Trunk,
    VisualSpan,
)
from livestar.kv.pool import NOT_VISUAL

pytestmark = pytest.mark.unit


@pytest.fixture
def pool() -> PagePool:
    return PagePool(num_layers=2, num_kv_heads=1, head_dim=8, num_pages=64, page_size=4)


@pytest.fixture
def trunk(pool: PagePool) -> Trunk:
    return Trunk(pool, rope_theta=THETA, max_positions=200)


@pytest.fixture
def forward(pool: PagePool) -> FakeForward:
    return FakeForward(pool)


def caption(*ids: int) -> Segment:
    return Segment(SegmentKind.CAPTION, Content.text(ids))


def frame(number: int) -> Segment:
    return Segment(SegmentKind.FRAME, frame_content(number, [1], [2]), frame=number)


def compute(trunk: Trunk, forward: FakeForward, *more: Chunk) -> None:
    staged = trunk.take_staged()
    forward.run([*([staged] if staged else []), *more])


class TestContent:
    def test_joined_frames_stand_where_they_stood(self) -> None:
        joined = Content.join(Content.text([1, 2]), frame_content(5, [3], [4]), frame_content(6, [], []))
        assert [span.at for span in joined.visuals] == [3, 7]
        assert joined.sources().tolist() == [-1, -1, -1, 15, 16, 17, -1, 18, 19, 20]

    def test_no_two_visual_tokens_share_a_source(self) -> None:
        spans = [VisualSpan(0, torch.zeros(16, 1), number) for number in (1, 2, 1000)]
        sources = [Content(np.zeros(16, dtype=np.int64), (span,)).sources() for span in spans]
        assert len(np.unique(sources)) == 48
        assert NOT_VISUAL not in np.concatenate(sources)

    def test_text_may_be_empty(self) -> None:
        assert len(Content.text(())) == 0
        assert Content.join(Content.text(()), Content.text([1])).ids.tolist() == [1]


class TestTakeStaged:
    @pytest.mark.parametrize(
        ("max_rows", "sizes"),
        [(None, [9]), (9, [9]), (8, [7, 2]), (5, [5, 4]), (4, [2, 3, 4]), (1, [2, 3, 2, 2])],
    )
    def test_whole_segments_and_at_least_one(
        self, trunk: Trunk, max_rows: int | None, sizes: list[int]
    ) -> None:
        trunk.append([caption(*range(size)) for size in (2, 3, 2, 2)])
        chunks = []
        while chunk := trunk.take_staged(max_rows):
            chunks.append(chunk)
        assert [len(chunk) for chunk in chunks] == sizes
        assert np.concatenate([chunk.rows for chunk in chunks]).tolist() == trunk.rows.tolist()
        assert [len(chunk.context) for chunk in chunks] == np.cumsum([0, *sizes[:-1]]).tolist()

    def test_nothing_staged_gives_none(self, trunk: Trunk) -> None:
        assert trunk.take_staged() is None
        trunk.append([])
        assert trunk.take_staged() is None


class TestRefusals:
    def test_a_segment_is_never_empty(self) -> None:
        with pytest.raises(ValueError, match="at least one row"):
            caption()

    @pytest.mark.parametrize(("num_rows", "num_targets"), [(0, 0), (2, 3)])
    def test_a_branch_scores_only_what_it_feeds(self, trunk: Trunk, num_rows: int, num_targets: int) -> None:
        """More targets than rows would be scored on the rows of another stream."""
        branch = trunk.branch()
        with pytest.raises(ValueError, match="would be scored"):
            branch.extend(Content.text(range(num_rows)), targets=tuple(range(num_targets)))
        assert len(branch) == trunk.allocator.num_pages == 0

    def test_a_closed_branch_is_not_extended(self, trunk: Trunk) -> None:
        with trunk.branch() as branch:
            pass
        with pytest.raises(AssertionError, match="closed"):
            branch.extend(Content.text([1]))

    @pytest.mark.parametrize(
        "too_far", [lambda trunk: trunk.branch(without_last=2), lambda trunk: trunk.take_back(2)]
    )
    def test_the_trunk_has_only_so_many_segments(
        self, trunk: Trunk, too_far: Callable[[Trunk], object]
    ) -> None:
        trunk.append([caption(1)])
        with pytest.raises(AssertionError, match="fewer segments"):
            too_far(trunk)
        assert (len(trunk.segments), trunk.branches) == (1, [])


class TestAdopt:
    def test_computed_rows_become_trunk_and_the_rest_is_released(
        self, trunk: Trunk, forward: FakeForward
    ) -> None:
        trunk.append([caption(1, 2, 3)])
        branch = trunk.branch()
        history, seen, probe = caption(4, 5), frame(7), caption(6, 6, 6)
        compute(trunk, forward, branch.extend(Content.join(*(s.content for s in (history, seen, probe)))))
        trunk.adopt(branch, [history, seen])
        assert (trunk.num_tokens, trunk.num_staged, trunk.branches) == (10, 0, [])
        assert trunk.positions.tolist() == list(range(10))
        trunk.check_integrity()
        forward.check(trunk.rows[3:], [Row(t, 3 + i, s) for i, (t, s) in enumerate(columns(history, seen))])

    @pytest.mark.parametrize("other", [caption(4, 6), frame(8)], ids=["other tokens", "another frame"])
    def test_only_for_exactly_what_was_fed(self, trunk: Trunk, forward: FakeForward, other: Segment) -> None:
        trunk.append([caption(1)])
        branch = trunk.branch()
        fed = frame(7) if other.frame else caption(4, 5)
        compute(trunk, forward, branch.extend(fed.content))
        with pytest.raises(AssertionError, match="the branch"):
            trunk.adopt(branch, [other])
        trunk.check_integrity()
        assert (trunk.num_tokens, len(branch)) == (1, len(fed))

    def test_only_while_the_trunk_has_not_moved(self, trunk: Trunk, forward: FakeForward) -> None:
        branch = trunk.branch()
        fed = caption(4, 5)
        trunk.append([caption(1)])
        compute(trunk, forward, branch.extend(fed.content))
        with pytest.raises(AssertionError, match="moved"):
            trunk.adopt(branch, [fed])

    def test_only_by_its_own_trunk(self, trunk: Trunk, pool: PagePool, forward: FakeForward) -> None:
        fed = caption(4, 5)
        branch = Trunk(pool).branch()
        forward.run([branch.extend(fed.content)])
        with pytest.raises(AssertionError, match="another trunk's"):
            trunk.adopt(branch, [fed])


class TestPositions:
    def test_gaps_stay_until_the_positions_run_out(self, pool: PagePool, forward: FakeForward) -> None:
        trunk = Trunk(pool, policy=PositionPolicy.GAPS, rope_theta=THETA, max_positions=30)
        trunk.append([caption(1, 2), frame(1), frame(2), caption(3)])
        compute(trunk, forward)
        first = trunk.segments[1]
        trunk.forget(lambda segment: segment is first)
        assert trunk.positions.tolist() == [0, 1, 7, 8, 9, 10, 11, 12]
        assert trunk.branch().extend(Content.text([9])).positions.tolist() == [13]
        assert not trunk.needs_rebase(headroom=16)
        assert trunk.needs_rebase(headroom=17)
        trunk.branches[0].close()
        trunk.rebase()
        assert trunk.positions.tolist() == list(range(8))
        assert not trunk.needs_rebase(headroom=21)
        trunk.check_integrity()

    def test_staged_rows_are_renumbered_and_not_rotated(self, trunk: Trunk, forward: FakeForward) -> None:
        trunk.append([caption(1, 2), caption(3, 4)])
        compute(trunk, forward)
        trunk.append([caption(5, 6)])
        first = trunk.segments[0]
        trunk.forget(lambda segment: segment is first)
        assert (trunk.positions.tolist(), trunk.num_staged) == ([0, 1, 2, 3], 2)
        compute(trunk, forward)
        forward.check(trunk.rows, [Row(3 + i, i, NOT_VISUAL) for i in range(4)])

    def test_a_forgotten_trunk_starts_anew(self, trunk: Trunk, pool: PagePool, forward: FakeForward) -> None:
        trunk.append([caption(1, 2), frame(1)])
        compute(trunk, forward)
        assert trunk.forget(lambda _: True) == 7
        assert (trunk.num_tokens, trunk.next_position, pool.num_free_pages) == (0, 0, 64)
        assert trunk.forget(lambda _: True) == 0
        trunk.rebase()
        trunk.check_integrity()

    def test_saved_segments_stand_where_they_stood(self, pool: PagePool, forward: FakeForward) -> None:
        trunk = Trunk(pool, policy=PositionPolicy.GAPS, rope_theta=THETA, max_positions=200)
        trunk.append_at([caption(1, 2), caption(3, 4)], [0, 9])
        trunk.append([caption(5)])
        assert (trunk.positions.tolist(), trunk.num_staged) == ([0, 1, 9, 10, 11], 5)
        compute(trunk, forward)
        at = [(1, 0), (2, 1), (3, 9), (4, 10), (5, 11)]
        forward.check(trunk.rows, [Row(token, position, NOT_VISUAL) for token, position in at])
        trunk.check_integrity()

    def test_a_recomputed_trunk_is_staged_from_its_beginning(
        self, pool: PagePool, forward: FakeForward
    ) -> None:
        trunk = Trunk(pool, policy=PositionPolicy.RECOMPUTED, rope_theta=THETA, max_positions=200)
        trunk.append([caption(1, 2), caption(3, 4), caption(5)])
        compute(trunk, forward)
        second = trunk.segments[1]
        assert trunk.forget(lambda segment: segment is second) == 2
        assert (trunk.positions.tolist(), trunk.num_staged) == ([0, 1, 2], 3)
        assert trunk.forget(lambda segment: segment is second) == 0

    def test_a_branch_below_the_last_frame_takes_its_place(self, trunk: Trunk) -> None:
        trunk.append([caption(1, 2), frame(1)])
        assert trunk.branch(without_last=1).extend(Content.text([8])).positions.tolist() == [2]
        assert trunk.branch(without_last=2).extend(Content.text([8])).positions.tolist() == [0]


def columns(*segments: Segment) -> list[tuple[int, int]]:
    content = Content.join(*(segment.content for segment in segments))
    return list(zip(content.ids.tolist(), content.sources().tolist(), strict=True))
