"""Two streams on one pool, driven at random; after every operation the cache is compared with plain lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fakes.kv import THETA, FakeForward, NaiveBranch, NaiveTrunk, Row, frame_content
from livestar.core.errors import CapacityExceeded
from livestar.kv import Branch, Chunk, Content, PagePool, PositionPolicy, Segment, SegmentKind, Trunk

pytestmark = pytest.mark.unit

PAGE_SIZE, NUM_PAGES = 4, 64
MAX_BRANCHES = 4

Pick = st.integers(0, 1023)
Sizes = st.lists(st.integers(-4, 7), min_size=1, max_size=3)
"""Rows of text of new segments; a negative one is a frame with that many rows of text around its visual tokens."""


@dataclass(eq=False)
class OpenBranch:
    """A branch, its oracle, and the chunks that no pass has computed yet with what each should see."""

    real: Branch
    naive: NaiveBranch
    parts: list[Content] = field(default_factory=list)
    is_cut: bool = False
    pending: list[tuple[Chunk, list[Row]]] = field(default_factory=list)

    @property
    def num_computed(self) -> int:
        return len(self.naive.rows) - sum(len(chunk) for chunk, _ in self.pending)


@dataclass(eq=False)
class Stream:
    """A trunk, its oracle, and its open branches."""

    real: Trunk
    naive: NaiveTrunk
    branches: list[OpenBranch] = field(default_factory=list)

    @property
    def num_rows(self) -> int:
        return len(self.naive.sequence) + sum(len(branch.naive.rows) for branch in self.branches)

    def num_unseen(self) -> int:
        """Segments at the end that no branch sees."""
        seen = max((len(branch.naive.base) for branch in self.branches), default=0)
        starts = np.cumsum([0, *map(len, self.naive.segments)])[:-1]
        return int((starts >= seen).sum())

    def adoptable(self) -> list[OpenBranch]:
        size = len(self.naive.sequence)
        return [b for b in self.branches if b.parts and len(b.naive.base) == size]


def is_calm(stream: Stream) -> bool:
    return bool(stream.naive.segments) and not stream.branches


def is_long(stream: Stream) -> bool:
    return len(stream.naive.segments) > 8


def has_work(stream: Stream) -> bool:
    return stream.real.num_staged > 0 or any(branch.pending for branch in stream.branches)


class KvMachine(RuleBasedStateMachine):
    num_machines = num_checks = 0

    def __init__(self) -> None:
        super().__init__()
        KvMachine.num_machines += 1
        self.pool = PagePool(
            num_layers=2, num_kv_heads=2, head_dim=8, num_pages=NUM_PAGES, page_size=PAGE_SIZE
        )
        self.forward = FakeForward(self.pool)
        self.streams = [self._open(policy) for policy in PositionPolicy]
        self.num_tokens = self.num_frames = 0

    @rule(pick=Pick, sizes=Sizes)
    def append(self, pick: int, sizes: list[int]) -> None:
        self._append(self._pick(pick), [self._content(size) for size in sizes])

    @precondition(lambda self: self._some(has_work))
    @rule(
        mask=st.integers(1, 3),
        max_rows=st.one_of(st.none(), st.integers(1, 24)),
        num_chunks=st.integers(1, 3),
    )
    def run_pass(self, mask: int, max_rows: int | None, num_chunks: int) -> None:
        """Several chunks a stream in one pass; branches come along where their trunk is computed."""
        busy = [stream for stream in self.streams if has_work(stream)]
        self._run([s for index, s in enumerate(busy) if mask >> index & 1] or busy, max_rows, num_chunks)

    def _run(self, streams: list[Stream], max_rows: int | None = None, num_chunks: int = 1) -> None:
        chunks, seen = [], []
        for stream in streams:
            for _ in range(num_chunks):
                chunk = stream.real.take_staged(max_rows)
                stream.naive.take_staged(max_rows)
                if chunk:
                    chunks.append(chunk)
                    seen.append(stream.naive.computed)
            if stream.real.num_staged == 0:
                for branch in stream.branches:
                    chunks += [chunk for chunk, _ in branch.pending]
                    seen += [rows for _, rows in branch.pending]
                    branch.pending.clear()
        assert self.forward.run(chunks) == seen

    @precondition(lambda self: self._some(lambda stream: len(stream.branches) < MAX_BRANCHES))
    @rule(pick=Pick, without_last=st.sampled_from([0, 0, 0, 1, 2, 3]), sizes=Sizes)
    def open_branch(self, pick: int, without_last: int, sizes: list[int]) -> None:
        stream = self._pick(pick, lambda stream: len(stream.branches) < MAX_BRANCHES)
        without_last = min(without_last, len(stream.naive.segments))
        real = stream.real.branch(without_last=without_last)
        stream.branches.append(OpenBranch(real, stream.naive.branch(without_last)))
        self._extend(stream, stream.branches[-1], sizes)

    @precondition(lambda self: self._some(lambda stream: bool(stream.branches)))
    @rule(pick=Pick, which=Pick, sizes=Sizes)
    def extend_branch(self, pick: int, which: int, sizes: list[int]) -> None:
        self._extend(*self._pick_branch(pick, which), sizes)

    def _extend(self, stream: Stream, branch: OpenBranch, sizes: list[int]) -> None:
        contents = [self._content(size) for size in sizes]
        content = Content.join(*contents)
        with self._expect_capacity(stream, len(content)) as fits:
            chunk = branch.real.extend(content)
        if fits:
            branch.naive.extend(content)
            branch.pending.append((chunk, branch.naive.sequence))
            branch.parts += [] if branch.is_cut else contents

    @precondition(lambda self: self._some(lambda stream: bool(stream.branches)))
    @rule(pick=Pick, which=Pick, num_rows=st.integers(0, 24))
    def truncate_branch(self, pick: int, which: int, num_rows: int) -> None:
        stream, branch = self._pick_branch(pick, which)
        if branch.pending:
            self._run([stream])
        branch.real.truncate(num_rows)
        branch.naive.truncate(num_rows)
        ends = np.cumsum([len(part) for part in branch.parts])
        num_whole = int((ends <= num_rows).sum())
        branch.is_cut |= num_whole < len(branch.parts)
        del branch.parts[num_whole:]

    @precondition(lambda self: self._some(lambda stream: bool(stream.branches)))
    @rule(pick=Pick, which=Pick)
    def close_branch(self, pick: int, which: int) -> None:
        """Also with chunks that were never computed: a cancelled answer."""
        stream, branch = self._pick_branch(pick, which)
        branch.real.close()
        branch.real.close()
        stream.branches.remove(branch)

    @precondition(lambda self: self._some(lambda stream: bool(stream.adoptable())))
    @rule(pick=Pick, which=Pick, num_parts=st.integers(0, 4))
    def adopt(self, pick: int, which: int, num_parts: int) -> None:
        stream = self._pick(pick, lambda stream: bool(stream.adoptable()))
        branch = stream.adoptable()[which % len(stream.adoptable())]
        self._run([stream])
        parts = branch.parts[:num_parts]
        stream.real.adopt(branch.real, [_segment(part) for part in parts])
        stream.naive.adopt(parts)
        stream.branches.remove(branch)

    @precondition(lambda self: self._some(lambda stream: stream.num_unseen() > 0))
    @rule(pick=Pick, num_segments=st.integers(1, 4), insert=st.integers(-4, 7), again=st.booleans())
    def take_back(self, pick: int, num_segments: int, insert: int, again: bool) -> None:
        """As at the start of a clip: the frame is taken back, a caption goes in, the frame comes again."""
        stream = self._pick(pick, lambda stream: stream.num_unseen() > 0)
        num_segments = min(num_segments, stream.num_unseen())
        taken = stream.real.take_back(num_segments)
        stream.naive.take_back(num_segments)
        if again:
            self._append(stream, [self._content(insert)], taken)

    @precondition(lambda self: self._some(is_calm))
    @rule(pick=Pick, bits=st.integers(0, 2**12 - 1))
    def forget(self, pick: int, bits: int) -> None:
        stream = self._pick(pick, is_calm)
        gone = {index for index in range(len(stream.naive.segments)) if bits >> index % 12 & 1}
        num_rows = stream.real.forget({stream.real.segments[index] for index in gone}.__contains__)
        assert num_rows == sum(len(stream.naive.segments[index]) for index in gone)
        stream.naive.forget(gone)

    @precondition(lambda self: self._some(is_calm))
    @rule(pick=Pick, recompute=st.booleans())
    def rebase(self, pick: int, recompute: bool) -> None:
        stream = self._pick(pick, is_calm)
        if recompute:
            stream.real.invalidate()
            stream.naive.invalidate()
        else:
            stream.real.rebase()
            stream.naive.rebase()
        assert stream.real.next_position == len(stream.naive.sequence)

    @precondition(lambda self: self._some(lambda stream: bool(stream.branches)))
    @rule(pick=Pick)
    def what_branches_see_does_not_move(self, pick: int) -> None:
        stream = self._pick(pick, lambda stream: bool(stream.branches))
        num_unseen = stream.num_unseen()
        forbidden: list[Callable[[], object]] = [
            lambda: stream.real.forget(lambda _: True),
            stream.real.rebase,
            stream.real.invalidate,
        ]
        if num_unseen < len(stream.naive.segments):
            forbidden.append(lambda: stream.real.take_back(num_unseen + 1))
        for operation in forbidden:
            with pytest.raises(AssertionError, match="branch"):
                operation()

    @precondition(lambda self: self._some(is_long))
    @rule(pick=Pick, policy=st.sampled_from(PositionPolicy))
    def reopen(self, pick: int, policy: PositionPolicy) -> None:
        stream = self._pick(pick, is_long)
        stream.real.close()
        self.streams[self.streams.index(stream)] = self._open(policy)

    @invariant()
    def the_cache_holds_the_logical_sequence(self) -> None:
        KvMachine.num_checks += 1
        rows: list[np.ndarray] = []
        expected: list[Row] = []
        for stream in self.streams:
            stream.real.check_integrity()
            computed, sequence = stream.naive.computed, stream.naive.sequence
            assert [len(segment) for segment in stream.real.segments] == [*map(len, stream.naive.segments)]
            assert stream.real.positions.tolist() == [row.position for row in sequence]
            assert stream.real.num_staged == len(sequence) - len(computed)
            rows.append(stream.real.rows[: len(computed)])
            expected += computed
            for branch in stream.branches:
                assert sequence[: len(branch.naive.base)] == branch.naive.base
                assert len(branch.real) == len(branch.naive.rows)
                rows.append(branch.real.rows[: branch.num_computed])
                expected += branch.naive.rows[: branch.num_computed]
        self.forward.check(np.concatenate(rows), expected)

    @invariant()
    def every_page_has_one_owner(self) -> None:
        self.pool.check_integrity([page for s in self.streams for page in s.real.allocator.pages])
        for stream in self.streams:
            used = [stream.real.rows, *(branch.real.rows for branch in stream.branches)]
            pages = np.unique(np.concatenate(used) // PAGE_SIZE)
            assert sorted(stream.real.allocator.pages) == pages.tolist()
            assert stream.real.allocator.num_rows_used == stream.num_rows

    def teardown(self) -> None:
        for stream in self.streams:
            stream.real.close()
        assert self.pool.num_free_pages == NUM_PAGES

    def _open(self, policy: PositionPolicy) -> Stream:
        return Stream(Trunk(self.pool, policy=policy, rope_theta=THETA), NaiveTrunk(policy))

    def _append(self, stream: Stream, contents: Sequence[Content], again: Sequence[Segment] = ()) -> None:
        segments = [*map(_segment, contents), *again]
        with self._expect_capacity(stream, sum(map(len, segments))) as fits:
            stream.real.append(segments)
        if fits:
            stream.naive.append(segment.content for segment in segments)

    @contextmanager
    def _expect_capacity(self, stream: Stream, num_rows: int) -> Iterator[bool]:
        """Whether the rows fit, by counting; where they do not, CapacityExceeded is expected."""
        num_free = stream.real.allocator.num_pages * PAGE_SIZE - stream.num_rows
        fits = num_rows <= num_free + self.pool.num_free_pages * PAGE_SIZE
        assert stream.real.allocator.can_take(num_rows) == fits
        if fits:
            yield True
        else:
            with pytest.raises(CapacityExceeded):
                yield False

    def _content(self, size: int) -> Content:
        def ids(count: int) -> list[int]:
            self.num_tokens += count
            return [token % 450 for token in range(self.num_tokens - count, self.num_tokens)]

        if size > 0:
            return Content.text(ids(size))
        self.num_frames += 1
        return frame_content(self.num_frames, ids(-size), ids(-size // 2))

    def _some(self, fits: Callable[[Stream], bool]) -> bool:
        return any(map(fits, self.streams))

    def _pick(self, pick: int, fits: Callable[[Stream], bool] = lambda _: True) -> Stream:
        fitting = [stream for stream in self.streams if fits(stream)]
        return fitting[pick % len(fitting)]

    def _pick_branch(self, pick: int, which: int) -> tuple[Stream, OpenBranch]:
        stream = self._pick(pick, lambda stream: bool(stream.branches))
        return stream, stream.branches[which % len(stream.branches)]


def _segment(content: Content) -> Segment:
    if content.visuals:
        return Segment(SegmentKind.FRAME, content, clip=1, frame=content.visuals[0].frame)
    return Segment(SegmentKind.CAPTION, content, clip=1)


def num_operations(num_examples: int) -> int:
    """Drives that many pairs of streams for 100 operations each. A machine is checked once before its first operation."""
    KvMachine.num_machines = KvMachine.num_checks = 0
    run_state_machine_as_test(
        KvMachine,
        settings=settings(
            max_examples=num_examples, stateful_step_count=100, deadline=None, derandomize=True
        ),
    )
    return KvMachine.num_checks - KvMachine.num_machines


@pytest.mark.slow
def test_the_cache_is_the_logical_sequence_after_ten_thousand_operations() -> None:
    assert num_operations(160) >= 10_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_cache_is_the_logical_sequence_after_thirty_thousand_operations() -> None:
    assert num_operations(480) >= 30_000
