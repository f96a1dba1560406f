"""Attention of new rows over cached rows: the plain path in torch, and the oracle for the fast one (`folded_attention`).

Shape suffixes: T packed rows of a pass, Q rows of one chunk, S context and new rows, N query heads, K kv heads, G queries
per kv head (N = K x G), H head width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from livestar.kv.chunk import Chunk
from livestar.kv.pool import PagePool


class PagedAttend:
    """Implements `livestar.model.Attend` for one pass over packed chunks.

    In each layer the keys and values of all new rows are written first; then every chunk attends to its context and,
    causally, to itself. So a branch may lie in the same pass as the trunk rows it sits on.
    """

    def __init__(self, pool: PagePool, chunks: Sequence[Chunk]) -> None:
        self._pool = pool
        device = pool.keys_LRKH.device
        self._rows = torch.from_numpy(np.concatenate([chunk.rows for chunk in chunks])).to(device)
        self._sizes = [len(chunk) for chunk in chunks]
        self._visible = [row_index(np.concatenate([chunk.context, chunk.rows]), device) for chunk in chunks]
        self._masks = [_mask(len(chunk), len(chunk.context), device) for chunk in chunks]

    def __call__(
        self, layer: int, q_TNH: torch.Tensor, k_TKH: torch.Tensor, v_TKH: torch.Tensor
    ) -> torch.Tensor:
        """Writes k and v of this layer, and returns the attention output [T, N, H]."""
        keys_RKH, values_RKH = self._pool.keys_LRKH[layer], self._pool.values_LRKH[layer]
        keys_RKH[self._rows] = k_TKH
        values_RKH[self._rows] = v_TKH
        outputs = [
            _attend(q_QNH, keys_RKH[visible], values_RKH[visible], mask_QS)
            for q_QNH, visible, mask_QS in zip(
                q_TNH.split(self._sizes), self._visible, self._masks, strict=True
            )
        ]
        return torch.cat(outputs)


def _attend(
    q_QNH: torch.Tensor, k_SKH: torch.Tensor, v_SKH: torch.Tensor, mask_QS: torch.Tensor | None
) -> torch.Tensor:
    """Grouped-query attention without copying keys: kv heads are the batch, and their G queries share a view of them."""
    num_queries, num_heads, width = q_QNH.shape
    num_groups = num_heads // k_SKH.shape[1]
    q_KGQH = q_QNH.view(num_queries, -1, num_groups, width).permute(1, 2, 0, 3)
    k_KGSH, v_KGSH = (
        x_SKH.transpose(0, 1).unsqueeze(1).expand(-1, num_groups, -1, -1) for x_SKH in (k_SKH, v_SKH)
    )
    out_KGQH = F.scaled_dot_product_attention(q_KGQH, k_KGSH, v_KGSH, attn_mask=mask_QS)
    return out_KGQH.permute(2, 0, 1, 3).reshape(num_queries, num_heads, width)


def _mask(num_queries: int, num_context: int, device: torch.device) -> torch.Tensor | None:
    """True where a new row may attend: all of the context, and causally the new rows. None for a single row."""
    if num_queries == 1:
        return None
    visible = torch.ones(num_queries, num_context + num_queries, dtype=torch.bool, device=device)
    return visible.tril(diagonal=num_context)


def row_index(rows: np.ndarray, device: torch.device) -> torch.Tensor | slice:
    """Rows as an index; a slice where they are consecutive, which saves a copy of the whole context."""
    if (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return torch.from_numpy(rows).to(device)
