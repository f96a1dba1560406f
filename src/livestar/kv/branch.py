"""A branch: rows evaluated on top of a trunk and thrown away."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from livestar.kv.chunk import Chunk, Content, Sampling
from livestar.kv.pool import NOT_WRITTEN

if TYPE_CHECKING:
    from livestar.kv.trunk import Segment, Trunk


class Branch:
    """A continuation of the trunk as it stood when the branch was opened. Made by `Trunk.branch`; close it, or use `with`.

    The trunk may grow meanwhile: the branch keeps seeing what it saw. Nothing may be deleted from under it.
    Positions continue from the trunk's last row, as in training (spec: branch positions of SCAM).
    """

    def __init__(self, trunk: Trunk, base: list[Segment], base_rows: np.ndarray, first_position: int) -> None:
        self._trunk = trunk
        self._base = base
        self._base_rows = base_rows
        self._first_position = first_position
        self.ids = np.empty(0, dtype=np.int64)
        self.sources = np.empty(0, dtype=np.int64)
        self.rows = np.empty(0, dtype=np.int64)
        self._open = True

    def __len__(self) -> int:
        return len(self.rows)

    def __enter__(self) -> Branch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def positions(self) -> np.ndarray:
        """int64 [len]: the position of each branch row."""
        return self._first_position + np.arange(len(self.rows), dtype=np.int64)

    @property
    def base(self) -> list[Segment]:
        """The segments of the trunk that the branch sees."""
        return self._base

    @property
    def base_rows(self) -> np.ndarray:
        """int64: the trunk rows that the branch sees."""
        return self._base_rows

    def extend(
        self, content: Content, *, targets: tuple[int, ...] = (), sampling: Sampling | None = None
    ) -> Chunk:
        """Appends rows and returns the chunk that computes them.

        Args:
            content: what to feed.
            targets: the chunk's last rows are scored against these ids.
            sampling: choose the next token after the last row.

        Raises:
            CapacityExceeded: the pool has no pages left; the branch is as it was.
            ValueError: there is nothing to feed, or more to score than is fed.
        """
        assert self._open, "the branch is closed"
        if len(content) < max(1, len(targets)):
            raise ValueError(f"{len(content)} rows are fed and {len(targets)} would be scored")
        rows = self._trunk.allocator.take(len(content))
        chunk = Chunk(
            content=content,
            positions=self._first_position + len(self.rows) + np.arange(len(content), dtype=np.int64),
            rows=rows,
            context=np.concatenate([self._base_rows, self.rows]),
            targets=np.asarray(targets, dtype=np.int64),
            sampling=sampling,
        )
        self.ids = np.concatenate([self.ids, content.ids])
        self.sources = np.concatenate([self.sources, content.sources()])
        self.rows = np.concatenate([self.rows, rows])
        return chunk

    def truncate(self, num_rows: int) -> None:
        """Keeps the first `num_rows` rows and releases the others."""
        self._trunk.allocator.release(self.rows[num_rows:])
        self.ids, self.sources, self.rows = (
            self.ids[:num_rows],
            self.sources[:num_rows],
            self.rows[:num_rows],
        )

    def surrender(self, num_rows: int) -> np.ndarray:
        """Gives the first `num_rows` rows away (the trunk adopts them) and closes the branch."""
        kept = self.rows[:num_rows]
        self._trunk.allocator.release(self.rows[num_rows:])
        self._leave()
        return kept

    def close(self) -> None:
        """Releases every row; closing twice is fine."""
        if self._open:
            self._trunk.allocator.release(self.rows)
            self._leave()

    def check_integrity(self) -> None:
        """The rows computed so far hold what was fed, at the branch's positions.

        Raises:
            AssertionError: a row holds something else.
        """
        pool = self._trunk.allocator.pool
        done = pool.row_token[self.rows] != NOT_WRITTEN
        pool.check_rows(self.rows[done], self.ids[done], self.positions[done], self.sources[done])

    def _leave(self) -> None:
        self.ids = self.sources = self.rows = np.empty(0, dtype=np.int64)
        self._open = False
        self._trunk.branches.remove(self)
