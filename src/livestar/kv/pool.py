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
        self.row_token = np.full(num_rows, -1, dtype=np.int64)
        self.row_position = np.full(num_rows, -1, dtype=np.int64)
        self.row_source = np.full(num_rows, NOT_VISUAL, dtype=np.int64)
        self._free = list(range(num_pages - 1, -1, -1))
        self._is_free = np.ones(num_pages, dtype=bool)

    @property
    def num_free_pages(self) -> int:
        """Pages that no stream owns."""
        return len(self._free)

    @property
    def row_bytes(self) -> int:
        """Bytes that one token costs over all layers, keys and values."""
        layers, _, heads, width = self.keys_LRKH.shape
        return 2 * layers * heads * width * self.keys_LRKH.element_size()

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

    def record(self, rows: np.ndarray, tokens: np.ndarray, positions: np.ndarray, sources: np.ndarray) -> None:
        """Notes what a forward pass wrote into `rows` (all int64 [n])."""
        self.row_token[rows] = tokens
        self.row_position[rows] = positions
        self.row_source[rows] = sources

    def check_integrity(self) -> None:
        """Every page is either free once or owned.

        Raises:
            AssertionError: the free list and the owner flags disagree.
        """
        assert len(set(self._free)) == len(self._free), "a page stands twice in the free list"
        assert int(self._is_free.sum()) == len(self._free), "free list and flags disagree"
