"""A full pool refuses and leaves everything as it was; what is given back is used again."""

from __future__ import annotations

import numpy as np
import pytest

from fakes.kv import frame_content
from livestar.core.errors import CapacityExceeded
from livestar.kv import Chunk, Content, PagePool, PositionPolicy, RowAllocator, Segment, SegmentKind, Trunk

pytestmark = pytest.mark.unit


def make_pool(num_pages: int, page_size: int = 4) -> PagePool:
    return PagePool(num_layers=1, num_kv_heads=1, head_dim=4, num_pages=num_pages, page_size=page_size)


def caption(num_rows: int) -> Segment:
    return Segment(SegmentKind.CAPTION, Content.text(range(num_rows)))


def frame(number: int) -> Segment:
    return Segment(SegmentKind.FRAME, frame_content(number % 1000, [1, 2], [3]), frame=number)


def take_staged(trunk: Trunk) -> Chunk:
    chunk = trunk.take_staged()
    assert chunk is not None
    return chunk


def record(pool: PagePool, *chunks: Chunk) -> None:
    """A forward pass as far as the bookkeeping goes."""
    for chunk in chunks:
        pool.record(chunk.rows, chunk.content.ids, chunk.positions, chunk.content.sources())


class TestExhaustion:
    def test_append_changes_nothing(self) -> None:
        pool = make_pool(3)
        trunk = Trunk(pool)
        trunk.append([caption(6)])
        record(pool, take_staged(trunk))
        rows = trunk.rows
        with pytest.raises(CapacityExceeded):
            trunk.append([caption(3), caption(4)])
        trunk.check_integrity()
        assert trunk.rows.tolist() == rows.tolist()
        assert (trunk.num_staged, pool.num_free_pages) == (0, 1)
        trunk.append([caption(6)])
        assert pool.num_free_pages == 0

    def test_extend_changes_nothing(self) -> None:
        pool = make_pool(3)
        trunk = Trunk(pool)
        trunk.append([caption(4)])
        branch = trunk.branch()
        branch.extend(Content.text([1, 2, 3]))
        rows = branch.rows
        with pytest.raises(CapacityExceeded):
            branch.extend(Content.text(range(6)))
        assert branch.rows is rows
        assert len(branch) == len(branch.ids) == len(branch.sources) == 3
        assert pool.num_free_pages == 1
        branch.extend(Content.text(range(5)))
        assert pool.num_free_pages == 0

    def test_the_message_says_what_to_do(self) -> None:
        with pytest.raises(CapacityExceeded, match="2 free pages and 3 are wanted: open fewer streams"):
            make_pool(2).allocate(3)

    def test_another_stream_can_go_on_in_its_holes(self) -> None:
        pool = make_pool(4)
        greedy, modest = Trunk(pool), Trunk(pool)
        modest.append([caption(2)])
        greedy.append([caption(12)])
        modest.append([caption(2)])
        with pytest.raises(CapacityExceeded):
            modest.append([caption(1)])
        greedy.close()
        modest.append([caption(12)])


class TestReuse:
    def test_closing_a_stream_frees_its_pages_and_its_branches(self) -> None:
        pool = make_pool(8)
        trunk = Trunk(pool)
        trunk.append([caption(9)])
        branch = trunk.branch()
        branch.extend(Content.text(range(9)))
        trunk.close()
        branch.close()
        assert pool.num_free_pages == 8
        with pytest.raises(AssertionError, match="closed"):
            branch.extend(Content.text([1]))
        trunk.append([caption(32)])
        assert trunk.next_position == 32

    def test_a_page_goes_back_with_its_last_row(self) -> None:
        pool = make_pool(4)
        allocator = RowAllocator(pool)
        rows = allocator.take(8)
        allocator.release(rows[1:4])
        assert pool.num_free_pages == 2
        allocator.release(rows[:1])
        assert pool.num_free_pages == 3
        allocator.check_integrity(rows[4:])

    def test_holes_are_used_before_a_new_page(self) -> None:
        pool = make_pool(4)
        allocator = RowAllocator(pool)
        rows = allocator.take(8)
        allocator.release(rows[[2, 5]])
        assert sorted(allocator.take(2).tolist()) == rows[[2, 5]].tolist()
        assert allocator.num_pages == 2

    def test_rows_ascend(self) -> None:
        """Consecutive rows are read without a copy."""
        allocator = RowAllocator(make_pool(4))
        rows = np.concatenate([allocator.take(6), allocator.take(9)])
        assert (np.diff(rows) == 1).all()
        allocator.release(rows[5:8])
        assert allocator.take(3).tolist() == rows[5:8].tolist()

    def test_a_stream_owns_no_more_pages_than_its_peak_needs(self) -> None:
        """What admission by worst case rests on: pages are taken only when every owned row is in use."""
        rng = np.random.default_rng(0)
        pool = make_pool(64)
        allocator = RowAllocator(pool)
        held: list[np.ndarray] = []
        peak = 0
        for _ in range(2000):
            if held and rng.random() < 0.5:
                allocator.release(held.pop(rng.integers(len(held))))
            elif allocator.num_rows_used < 200:
                held.append(allocator.take(int(rng.integers(1, 12))))
            peak = max(peak, allocator.num_rows_used)
            assert allocator.num_pages <= -(-peak // pool.page_size)
        allocator.check_integrity(np.concatenate(held))


@pytest.mark.parametrize("policy", PositionPolicy)
def test_nothing_grows_over_ten_thousand_frames(policy: PositionPolicy) -> None:
    """A held caption on a branch at every frame; frames are forgotten from the middle."""
    pool = make_pool(24)
    trunk = Trunk(pool, policy=policy, max_positions=512)
    trunk.append([Segment(SegmentKind.PREAMBLE, Content.text(range(5)))])
    most_pages = 0
    for number in range(1, 10_001):
        if len(trunk.segments) > 9:
            trunk.forget({trunk.segments[1 + number % 7], trunk.segments[1 + number % 5]}.__contains__)
        if trunk.needs_rebase(headroom=20):
            trunk.rebase()
        trunk.append([frame(number)])
        with trunk.branch() as branch:
            record(pool, take_staged(trunk), branch.extend(Content.text(range(8))))
            most_pages = max(most_pages, trunk.allocator.num_pages)
        if number % 500 == 0:
            trunk.check_integrity()
            pool.check_integrity(trunk.allocator.pages)
    assert most_pages <= -(-(5 + 9 * 6 + 8) // pool.page_size)
    assert trunk.next_position < trunk.max_positions
