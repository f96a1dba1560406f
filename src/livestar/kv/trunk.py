"""The trunk of one stream: the context that stays, as segments over cache rows.

Append-only, but for two operations of the memory: whole segments can be forgotten from the middle, and the tail can be
taken back. Every row has an explicit position; `check_integrity` compares what the cache rows hold with what the segments say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from livestar.kv.allocator import RowAllocator
from livestar.kv.branch import Branch
from livestar.kv.chunk import Chunk, Content
from livestar.kv.pool import PagePool
from livestar.kv.rerotation import rerotate


class SegmentKind(Enum):
    """What a segment of the trunk is. The preamble (system block, task prompt) is never forgotten."""

    PREAMBLE = "preamble"
    FRAME = "frame"
    CAPTION = "caption"


class PositionPolicy(Enum):
    """What happens to the rows that stay, and to their rotary positions, when rows are forgotten from the middle.

    GAPS keeps every key as it was computed: relative distances stay, positions run ahead of the row count until they are
    rebased. CONTIGUOUS re-rotates the keys behind the hole, so that positions are always 0, 1, 2 … RECOMPUTED stages the whole
    trunk again: nothing in the cache has ever seen what is gone, at the price of a prefill each time something is forgotten.
    """

    GAPS = "gaps"
    CONTIGUOUS = "contiguous"
    RECOMPUTED = "recomputed"


@dataclass(eq=False)
class Segment:
    """Consecutive trunk rows that live and die together.

    Attributes:
        kind: what it is.
        content: token ids and visual tokens.
        clip: the clip that it belongs to, counted from 1; 0 for the preamble.
        frame: frame number, 0 when it is no frame.
        pts_ns: presentation time of the frame.
        nll: how perplexing the held caption was at this frame, nats per token (the memory's score).
        positions: int64 [n], set by the trunk.
        rows: int64 [n], set by the trunk.
    """

    kind: SegmentKind
    content: Content
    clip: int = 0
    frame: int = 0
    pts_ns: int = 0
    nll: float = float("nan")
    positions: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    rows: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __post_init__(self) -> None:
        if len(self.content) == 0:
            raise ValueError("a segment has at least one row")

    def __len__(self) -> int:
        return len(self.content)


class Trunk:
    """The segments of one stream and the rows that cache them.

    Rows of appended segments are *staged*: they have a place and a position, but nobody has computed them. `staged` gives a
    chunk that does, and `commit` takes the news that it ran; computed rows are whole segments.

    Args:
        pool: memory to take pages from.
        policy: positions after a deletion.
        rope_theta: base of the rotary embedding, for re-rotation.
        max_positions: positions stay below this (dynamic NTK never engages), if the caller rebases when `needs_rebase` says.
    """

    def __init__(
        self,
        pool: PagePool,
        *,
        policy: PositionPolicy = PositionPolicy.CONTIGUOUS,
        rope_theta: float = 1e6,
        max_positions: int = 32768,
    ) -> None:
        self.allocator = RowAllocator(pool)
        self.segments: list[Segment] = []
        self.branches: list[Branch] = []
        self.policy = policy
        self.rope_theta = rope_theta
        self.max_positions = max_positions
        self._num_computed = 0

    @property
    def num_tokens(self) -> int:
        """Rows of all segments, staged ones included."""
        return sum(len(segment) for segment in self.segments)

    @property
    def num_staged(self) -> int:
        """Rows at the end that no chunk has computed yet."""
        return self.num_tokens - self._num_computed

    @property
    def next_position(self) -> int:
        """Position of the next row."""
        return int(self.segments[-1].positions[-1]) + 1 if self.segments else 0

    @property
    def rows(self) -> np.ndarray:
        """int64: the rows of all segments, in sequence order."""
        return _join(segment.rows for segment in self.segments)

    @property
    def positions(self) -> np.ndarray:
        """int64: the positions of all rows."""
        return _join(segment.positions for segment in self.segments)

    def append(self, segments: Sequence[Segment]) -> None:
        """Appends segments; their rows are staged.

        Raises:
            CapacityExceeded: the pool has no pages left; nothing is appended.
        """
        rows = self.allocator.take(sum(len(segment) for segment in segments))
        self._place(segments, rows)

    def append_at(self, segments: Sequence[Segment], first_positions: Sequence[int]) -> None:
        """Appends the segments of a saved trunk where they stood; their rows are staged.

        Args:
            segments: what was saved.
            first_positions: the position of each segment's first row; they rise, and leave room for the rows between them.

        Raises:
            CapacityExceeded: the pool has no pages left; nothing is appended.
        """
        self.append(segments)
        for segment, position in zip(segments, first_positions, strict=True):
            segment.positions = np.arange(position, position + len(segment), dtype=np.int64)

    def staged(self, max_rows: int | None = None) -> Chunk | None:
        """A chunk that computes staged segments, oldest first; changes nothing, so a pass that fails can be run again.

        Takes whole segments, at most `max_rows` rows of them but at least one. None when nothing is staged.
        """
        first = self._index_of_row(self._num_computed)
        taken: list[Segment] = []
        num_rows = 0
        for segment in self.segments[first:]:
            num_rows += len(segment)
            if taken and max_rows is not None and num_rows > max_rows:
                break
            taken.append(segment)
        if not taken:
            return None
        return Chunk(
            content=Content.join(*(segment.content for segment in taken)),
            positions=_join(segment.positions for segment in taken),
            rows=_join(segment.rows for segment in taken),
            context=self.rows[: self._num_computed],
        )

    def commit(self, chunk: Chunk) -> None:
        """Notes that a chunk of `staged` has been computed; call it before the trunk changes again."""
        end = self._num_computed + len(chunk)
        assert np.array_equal(self.rows[self._num_computed : end], chunk.rows), (
            "the trunk moved under its chunk"
        )
        self._num_computed = end

    def take_staged(self, max_rows: int | None = None) -> Chunk | None:
        """`staged` and `commit` in one, for a caller that runs the chunk at once."""
        chunk = self.staged(max_rows)
        if chunk:
            self.commit(chunk)
        return chunk

    def branch(self, *, without_last: int = 0) -> Branch:
        """Opens a branch on top of the trunk as it stands, or as it stood before the last `without_last` segments."""
        assert 0 <= without_last <= len(self.segments), "the trunk has fewer segments"
        seen = self.segments[: len(self.segments) - without_last]
        first_position = int(seen[-1].positions[-1]) + 1 if seen else 0
        branch = Branch(self, seen, _join(segment.rows for segment in seen), first_position)
        self.branches.append(branch)
        return branch

    def adopt(self, branch: Branch, segments: Sequence[Segment]) -> None:
        """Makes the first rows of a branch trunk, without computing them again; the branch closes.

        The branch must sit on the whole trunk, and its first rows must be exactly the contents of `segments`.
        """
        num_rows = sum(len(segment) for segment in segments)
        ids = _join(segment.content.ids for segment in segments)
        sources = _join(segment.content.sources() for segment in segments)
        assert branch in self.branches, "the branch is closed, or another trunk's"
        assert np.array_equal(branch.ids[:num_rows], ids), (
            "the branch holds other tokens than it is adopted for"
        )
        assert np.array_equal(branch.sources[:num_rows], sources), "the branch shows other frames"
        assert len(branch.base_rows) == self._num_computed == self.num_tokens, (
            "the trunk moved under the branch"
        )
        self._place(segments, branch.surrender(num_rows))
        self._num_computed += num_rows

    def take_back(self, num_segments: int) -> list[Segment]:
        """Removes the last segments and returns them, ready to be appended again."""
        assert 0 <= num_segments <= len(self.segments), "the trunk has fewer segments"
        num_kept = len(self.segments) - num_segments
        assert all(len(branch.base) <= num_kept for branch in self.branches), "a branch sees them"
        removed = self.segments[num_kept:]
        del self.segments[num_kept:]
        self.allocator.release(_join(segment.rows for segment in removed))
        self._num_computed = min(self._num_computed, self.num_tokens)
        return removed

    def forget(self, should_go: Callable[[Segment], bool]) -> int:
        """Drops segments anywhere in the trunk; positions follow the policy. Returns the number of rows dropped.

        No branch may be open: what a branch sees must not move.
        """
        assert not self.branches, "a branch is open"
        gone = [segment for segment in self.segments if should_go(segment)]
        if not gone:
            return 0
        computed = self.segments[: self._index_of_row(self._num_computed)]
        self._num_computed -= sum(len(segment) for segment in computed if should_go(segment))
        self.segments = [segment for segment in self.segments if not should_go(segment)]
        self.allocator.release(_join(segment.rows for segment in gone))
        if self.policy is PositionPolicy.CONTIGUOUS:
            self.rebase()
        elif self.policy is PositionPolicy.RECOMPUTED:
            self.invalidate()
        return sum(len(segment) for segment in gone)

    def rebase(self) -> None:
        """Makes positions 0, 1, 2 … again by re-rotating the cached keys that move (exact up to rounding)."""
        assert not self.branches, "a branch is open"
        rows, old = self.rows[: self._num_computed], self.positions[: self._num_computed]
        new = np.arange(len(rows), dtype=np.int64)
        moved = old != new
        rerotate(self.allocator.pool, rows[moved], (new - old)[moved], self.rope_theta)
        self._renumber()
        self.allocator.pool.row_position[rows] = new

    def needs_rebase(self, headroom: int) -> bool:
        """Whether `headroom` more positions would reach `max_positions`."""
        return self.next_position + headroom >= self.max_positions

    def invalidate(self) -> None:
        """Stages every row again: the next chunks recompute the trunk from its tokens, at contiguous positions."""
        assert not self.branches, "a branch is open"
        self._num_computed = 0
        self._renumber()
        self.allocator.pool.erase(self.rows)

    def close(self) -> None:
        """Closes open branches and returns all pages."""
        for branch in list(self.branches):
            branch.close()
        self.segments.clear()
        self._num_computed = 0
        self.allocator.close()

    def check_integrity(self) -> None:
        """Compares (token, position, visual source) of every computed row with the segments and the open branches.

        Between passes only: rows that `take_staged` gave away count as computed.

        Raises:
            AssertionError: the cache does not hold the sequence that the segments say.
        """
        rows, positions, done = self.rows, self.positions, self._num_computed
        tokens = _join(segment.content.ids for segment in self.segments)
        sources = _join(segment.content.sources() for segment in self.segments)
        self.allocator.pool.check_rows(rows[:done], tokens[:done], positions[:done], sources[:done])
        assert (np.diff(positions) > 0).all(), "positions do not increase"
        assert self.next_position < self.max_positions, "positions have left the trained range"
        for branch in self.branches:
            seen = rows[: len(branch.base_rows)]
            assert branch.base == self.segments[: len(branch.base)], (
                "a branch sees what the trunk has given up"
            )
            assert np.array_equal(branch.base_rows, seen), "a branch sees rows that the trunk has given up"
            assert (branch.positions < self.max_positions).all(), "a branch has left the trained range"
            branch.check_integrity()
        self.allocator.check_integrity(_join([rows, *(branch.rows for branch in self.branches)]))

    def _place(self, segments: Sequence[Segment], rows: np.ndarray) -> None:
        position, start = self.next_position, 0
        for segment in segments:
            segment.rows = rows[start : start + len(segment)]
            segment.positions = np.arange(position + start, position + start + len(segment), dtype=np.int64)
            start += len(segment)
        self.segments.extend(segments)

    def _index_of_row(self, row: int) -> int:
        """Index of the segment that starts at this row of the sequence."""
        starts = np.cumsum([0, *(len(segment) for segment in self.segments)])
        return int(np.searchsorted(starts, row))

    def _renumber(self) -> None:
        position = 0
        for segment in self.segments:
            segment.positions = np.arange(position, position + len(segment), dtype=np.int64)
            position += len(segment)


def _join(arrays: Iterable[np.ndarray]) -> np.ndarray:
    parts = list(arrays)
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
