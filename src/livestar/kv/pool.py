"""The memory of every stream's keys and values, in pages.

Shape suffixes: L layers, R rows (pages x rows a page), K kv heads, H head width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from livestar.core.errors import CapacityExceeded

NOT_VISUAL = -1
"""What `row_source` holds for a row that is text."""

NOT_WRITTEN = -1
"""What `row_token` holds for a row that no forward pass has written since it was handed out."""


class PagePool:
    """Keys and values in pages of `page_size` token rows. Streams own whole pages; a row is the unit of use.

    Beside each row stands what was written there (token id, position, visual source), kept on the host, so that a cache
    can be compared with the sequence it claims to hold at any time.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        num_kv_heads: int,
        head_dim: int,
        num_pages: int,
        page_size: int = 16,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        if min(num_layers, num_kv_heads, head_dim, num_pages, page_size) < 1:
            raise ValueError("every dimension of a page pool is at least 1")
        self.page_size = page_size
        self.num_pages = num_pages
        num_rows = num_pages * page_size
        shape = (num_layers, num_rows, num_kv_heads, head_dim)
        self.keys_LRKH = torch.zeros(shape, dtype=dtype, device=device)
        self.values_LRKH = torch.zeros(shape, dtype=dtype, device=device)
        self.row_token = np.full(num_rows, NOT_WRITTEN, dtype=np.int64)
        self.row_position = np.full(num_rows, -1, dtype=np.int64)
        self.row_source = np.full(num_rows, NOT_VISUAL, dtype=np.int64)
        self._free = list(range(num_pages - 1, -1, -1))
        self._is_free = np.ones(num_pages, dtype=bool)

    @property
    def num_free_pages(self) -> int:
        """Pages that no stream owns."""
        return len(self._free)

    def can_allocate(self, num_pages: int) -> bool:
        """Whether `allocate(num_pages)` would succeed now."""
        return num_pages <= len(self._free)

    def allocate(self, num_pages: int) -> list[int]:
        """Takes pages out of the pool; the caller owns them until `free`.

        Raises:
            CapacityExceeded: fewer pages are free.
        """
        if not self.can_allocate(num_pages):
            raise CapacityExceeded(
                f"the KV pool has {len(self._free)} free pages and {num_pages} are wanted: "
                "open fewer streams, lower max_trunk_tokens or give the pool more pages"
            )
        pages = [self._free.pop() for _ in range(num_pages)]
        self._is_free[pages] = False
        return pages

    def free(self, pages: Sequence[int]) -> None:
        """Gives pages back."""
        for page in pages:
            assert not self._is_free[page], f"page {page} is freed twice"
            self._is_free[page] = True
            self._free.append(page)

    def record(
        self, rows: np.ndarray, tokens: np.ndarray, positions: np.ndarray, sources: np.ndarray
    ) -> None:
        """Notes what a forward pass wrote into `rows` (all int64 [n])."""
        self.row_token[rows] = tokens
        self.row_position[rows] = positions
        self.row_source[rows] = sources

    def erase(self, rows: np.ndarray) -> None:
        """Notes that `rows` hold nothing until a forward pass writes them; what stood there before is not theirs."""
        self.row_token[rows] = NOT_WRITTEN

    def check_rows(
        self, rows: np.ndarray, tokens: np.ndarray, positions: np.ndarray, sources: np.ndarray
    ) -> None:
        """Compares what was recorded for `rows` with what they should hold.

        Raises:
            AssertionError: a row holds something else, or nothing yet.
        """
        assert np.array_equal(self.row_token[rows], tokens), "a cached row holds another token"
        assert np.array_equal(self.row_position[rows], positions), "a row has another position"
        assert np.array_equal(self.row_source[rows], sources), "a row shows another frame"

    def check_integrity(self, owned_pages: Sequence[int] | None = None) -> None:
        """Every page is either free once or owned once.

        Args:
            owned_pages: the pages of all allocators; None leaves out who owns what.

        Raises:
            AssertionError: a page is free twice, owned twice, both or neither.
        """
        assert np.array_equal(np.flatnonzero(self._is_free), sorted(self._free)), (
            "free list and flags disagree"
        )
        if owned_pages is not None:
            owned = np.flatnonzero(~self._is_free)
            assert np.array_equal(owned, sorted(owned_pages)), (
                "a page is owned twice, by nobody, or while it is free"
            )
