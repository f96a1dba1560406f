"""The rows of one stream."""

from __future__ import annotations

import numpy as np

from livestar.kv.pool import PagePool


class RowAllocator:
    """Hands out single token rows from pages that one stream owns; takes and returns whole pages at the pool.

    A frame dropped from the middle leaves holes in its pages. Holes are used before a new page is taken, and a page goes
    back to the pool when its last row is released, so a stream never holds more than it uses plus its holes.
    """

    def __init__(self, pool: PagePool) -> None:
        self.pool = pool
        self._free_rows: list[int] = []
        self._used: dict[int, int] = {}

    @property
    def num_pages(self) -> int:
        """Pages owned now."""
        return len(self._used)

    @property
    def pages(self) -> list[int]:
        """The pages owned now, in no order."""
        return list(self._used)

    @property
    def num_rows_used(self) -> int:
        """Rows handed out and not yet released."""
        return sum(self._used.values())

    def can_take(self, num_rows: int) -> bool:
        """Whether `take(num_rows)` would succeed now."""
        missing = num_rows - len(self._free_rows)
        return missing <= 0 or self.pool.can_allocate(-(-missing // self.pool.page_size))

    def take(self, num_rows: int) -> np.ndarray:
        """Rows to write to, int64 [num_rows], in ascending runs where the pages allow it.

        Raises:
            CapacityExceeded: the pool has no pages left.
        """
        missing = num_rows - len(self._free_rows)
        if missing > 0:
            self._grow(-(-missing // self.pool.page_size))
        rows = np.array([self._free_rows.pop() for _ in range(num_rows)], dtype=np.int64)
        for page in rows // self.pool.page_size:
            self._used[int(page)] += 1
        self.pool.erase(rows)
        return rows

    def release(self, rows: np.ndarray) -> None:
        """Takes rows back; pages that fall empty return to the pool."""
        size = self.pool.page_size
        for row in rows[::-1].tolist():
            self._used[row // size] -= 1
            assert self._used[row // size] >= 0, f"row {row} is released twice"
            self._free_rows.append(row)
        empty = {page for page in set((rows // size).tolist()) if self._used[page] == 0}
        if empty:
            self._free_rows = [row for row in self._free_rows if row // size not in empty]
            for page in empty:
                del self._used[page]
            self.pool.free(sorted(empty, reverse=True))

    def close(self) -> None:
        """Returns every page; the allocator is empty afterwards."""
        self.pool.free(sorted(self._used, reverse=True))
        self._used.clear()
        self._free_rows.clear()

    def check_integrity(self, rows_in_use: np.ndarray) -> None:
        """Rows in use and free rows are disjoint and together are exactly the rows of the owned pages.

        Raises:
            AssertionError: a row is lost, shared or foreign.
        """
        in_use = rows_in_use.tolist()
        size = self.pool.page_size
        owned = {page * size + offset for page in self._used for offset in range(size)}
        assert len(set(in_use)) == len(in_use), "a row is used twice"
        assert set(in_use) | set(self._free_rows) == owned, (
            "rows in use and free rows are not the owned pages"
        )
        assert len(in_use) + len(self._free_rows) == len(owned), "a row is both free and in use"
        assert sum(self._used.values()) == len(in_use), "the rows used per page are miscounted"

    def _grow(self, num_pages: int) -> None:
        size = self.pool.page_size
        for page in sorted(self.pool.allocate(num_pages)):
            self._used[page] = 0
            # Popped from the end: holes come out first, then the new pages in ascending order.
            self._free_rows[:0] = range(page * size + size - 1, page * size - 1, -1)
