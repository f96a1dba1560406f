"""`check_integrity` must notice what it promises to notice: each test breaks one thing by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fakes.kv import FakeForward, frame_content
from livestar.kv import Chunk, Content, PagePool, Segment, SegmentKind, Trunk

pytestmark = pytest.mark.unit


def make_pool() -> PagePool:
    return PagePool(num_layers=1, num_kv_heads=1, head_dim=4, num_pages=32, page_size=4)


def caption(*ids: int) -> Segment:
    return Segment(SegmentKind.CAPTION, Content.text(ids))


def frame(number: int) -> Segment:
    return Segment(SegmentKind.FRAME, frame_content(number, [1], [2]), frame=number)


@pytest.fixture
def pool() -> PagePool:
    return make_pool()


@pytest.fixture
def trunk(pool: PagePool) -> Trunk:
    """Caption, frame, caption, frame; all computed."""
    trunk = Trunk(pool)
    trunk.append([caption(10, 11, 12), frame(1), caption(20, 21), frame(2)])
    compute(trunk)
    trunk.check_integrity()
    return trunk


def compute(trunk: Trunk, *more: Chunk) -> None:
    staged = trunk.take_staged()
    FakeForward(trunk.allocator.pool).run([*([staged] if staged else []), *more])


def swap_tokens(trunk: Trunk) -> None:
    rows = trunk.segments[0].rows
    trunk.segments[0].rows = rows[[1, 0, 2]]


def shift_position(trunk: Trunk) -> None:
    """As a deletion that forgets to re-rotate."""
    trunk.segments[-1].positions = trunk.segments[-1].positions + 1


def repeat_position(trunk: Trunk) -> None:
    for segment in trunk.segments[2:]:
        segment.positions = segment.positions - 1
        trunk.allocator.pool.row_position[segment.rows] -= 1


def show_another_frame(trunk: Trunk) -> None:
    """Frames have the same placeholder ids: only the visual source tells them apart."""
    first, second = trunk.segments[1], trunk.segments[3]
    assert np.array_equal(first.content.ids, second.content.ids)
    first.content, second.content = second.content, first.content


def skip_the_forward_pass(trunk: Trunk) -> None:
    """The same tokens come back to the same rows and positions, and are counted as computed without being computed."""
    trunk.append(trunk.take_back(1))
    trunk.take_staged()


def recompute_in_name_only(trunk: Trunk) -> None:
    trunk.invalidate()
    trunk.take_staged()


def leak_a_row(trunk: Trunk) -> None:
    trunk.allocator.take(1)


def use_a_row_twice(trunk: Trunk) -> None:
    trunk.segments[2].rows = trunk.segments[0].rows[:2]


def release_a_row_in_use(trunk: Trunk) -> None:
    trunk.allocator.release(trunk.segments[0].rows[:1])


def release_a_row_twice(trunk: Trunk) -> None:
    [caption] = trunk.take_back(1)
    trunk.append([caption])
    compute(trunk)
    trunk.allocator.release(trunk.allocator.take(1).repeat(2))


def leave_the_trained_range(trunk: Trunk) -> None:
    trunk.max_positions = trunk.num_tokens


def branch_leaves_the_trained_range(trunk: Trunk) -> None:
    trunk.max_positions = trunk.num_tokens + 2
    trunk.branch().extend(Content.text([5, 6, 7]))


def branch_over_freed_rows(trunk: Trunk) -> None:
    trunk.branch()
    drop_last_by_force(trunk)


def branch_over_rows_that_were_freed_and_taken_again(trunk: Trunk) -> None:
    """The trunk owns every row that the branch sees, but they mean something else now."""
    trunk.branch()
    dropped = drop_last_by_force(trunk)
    trunk.append([caption(30), dropped])
    compute(trunk)
    assert np.isin(trunk.branches[0].base_rows, trunk.rows).all()


def branch_holds_another_token(trunk: Trunk) -> None:
    branch = trunk.branch()
    compute(trunk, branch.extend(Content.text([5, 6])))
    branch.rows = branch.rows[[1, 0]]


def branch_shows_another_frame(trunk: Trunk) -> None:
    branch = trunk.branch()
    compute(trunk, branch.extend(frame_content(3, [], [])))
    branch.sources = branch.sources + 3


def drop_last_by_force(trunk: Trunk) -> Segment:
    [branch] = trunk.branches
    trunk.branches.clear()
    [dropped] = trunk.take_back(1)
    trunk.branches.append(branch)
    return dropped


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (swap_tokens, "another token"),
        (shift_position, "another position"),
        (repeat_position, "do not increase"),
        (show_another_frame, "another frame"),
        (skip_the_forward_pass, "another token"),
        (recompute_in_name_only, "another token"),
        (leak_a_row, "not the owned pages"),
        (use_a_row_twice, "another token"),
        (release_a_row_in_use, "both free and in use"),
        (release_a_row_twice, "miscounted|both free and in use"),
        (leave_the_trained_range, "trained range"),
        (branch_leaves_the_trained_range, "trained range"),
        (branch_over_freed_rows, "given up"),
        (branch_over_rows_that_were_freed_and_taken_again, "given up"),
        (branch_holds_another_token, "another token"),
        (branch_shows_another_frame, "another frame"),
    ],
)
def test_the_trunk_notices(break_it: Callable[[Trunk], None], complaint: str, trunk: Trunk) -> None:
    break_it(trunk)
    with pytest.raises(AssertionError, match=complaint):
        trunk.check_integrity()


def test_the_pool_notices_a_page_owned_twice(trunk: Trunk) -> None:
    """Both owners and the number of pages are content; the pool is not."""
    pool = trunk.allocator.pool
    other = Trunk(pool)
    other.append([caption(1, 2, 3, 4)])
    [mine], [lost, *_] = other.allocator.pages, trunk.allocator.pages
    other.allocator._used[lost] = other.allocator._used.pop(mine)
    pages = [*trunk.allocator.pages, *other.allocator.pages]
    assert len(pages) + pool.num_free_pages == pool.num_pages
    with pytest.raises(AssertionError, match="owned twice"):
        pool.check_integrity(pages)


def test_two_trunks_that_write_one_page_notice_it(trunk: Trunk) -> None:
    pool = trunk.allocator.pool
    pool._free.append(trunk.allocator.pages[0])
    intruder = Trunk(pool)
    intruder.append([caption(9, 8, 7, 6)])
    compute(intruder)
    with pytest.raises(AssertionError, match="another token"):
        trunk.check_integrity()


def free_an_owned_page(pool: PagePool, page: int) -> None:
    pool.free([page])


def list_an_owned_page_as_free(pool: PagePool, page: int) -> None:
    pool._free.append(page)


def list_a_free_page_twice(pool: PagePool, page: int) -> None:
    pool._free[0] = pool._free[1]


def lose_a_page(pool: PagePool, page: int) -> None:
    pool.allocate(1)


@pytest.mark.parametrize(
    "break_it", [free_an_owned_page, list_an_owned_page_as_free, list_a_free_page_twice, lose_a_page]
)
def test_the_pool_notices(break_it: Callable[[PagePool, int], None], trunk: Trunk) -> None:
    pool = trunk.allocator.pool
    pages = trunk.allocator.pages
    pool.check_integrity(pages)
    break_it(pool, pages[0])
    with pytest.raises(AssertionError):
        pool.check_integrity(pages)


def test_a_page_is_not_freed_twice(pool: PagePool) -> None:
    pages = pool.allocate(2)
    pool.free(pages)
    with pytest.raises(AssertionError, match="freed twice"):
        pool.free(pages[:1])


def test_rows_of_a_chunk_that_waits_are_not_complained_about(trunk: Trunk) -> None:
    branch = trunk.branch()
    waiting = branch.extend(Content.text([5, 6]))
    trunk.check_integrity()
    compute(trunk, waiting)
    branch.extend(Content.text([7]))
    trunk.check_integrity()


def test_keys_are_not_read_by_the_check(trunk: Trunk) -> None:
    """It compares what was recorded; that the keys are right is what the machine and the parity tests show."""
    trunk.allocator.pool.keys_LRKH.fill_(torch.nan)
    trunk.check_integrity()
