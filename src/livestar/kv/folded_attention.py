"""The fast path of `PagedAttend`: the same sums in fewer and better shaped products.

Chunks that continue each other (a frame, and the caption on top of it) are one causal sequence, whose keys are gathered and
multiplied once. Queries that share a kv head are rows of one product; with the keys repeated by a view instead, as in the plain
path, torch needs nine times as long for a single bf16 row on a CPU.

Shape suffixes: T packed rows of a pass, Q rows of one run, S context and new rows, N query heads, K kv heads, G queries per
kv head (N = K x G), F folded queries (Q x G), W masked columns, H head width, R cache rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from livestar.kv.chunk import Chunk
from livestar.kv.paged_attention import row_index
from livestar.kv.pool import PagePool

MAX_SCORES = 2**22
"""Scores that may exist at a time, 16 MiB in float32; larger products go through torch's fused kernel, which keeps none."""


@dataclass(frozen=True)
class Run:
    """Consecutive chunks of a pass, each of which sees exactly what the one before saw, and that one.

    Attributes:
        size: new rows of all of them.
        visible: int64, the cache rows that the last row sees, in sequence order, its own included.
    """

    size: int
    visible: np.ndarray


def runs_of(chunks: Sequence[Chunk]) -> list[Run]:
    """The chunks of a pass in order, joined where one continues the one before."""
    runs: list[Run] = []
    for chunk in chunks:
        size = len(chunk)
        if runs and np.array_equal(runs[-1].visible, chunk.context):
            size += runs.pop().size
        runs.append(Run(size, np.concatenate([chunk.context, chunk.rows])))
    return runs


class FoldedAttend:
    """Implements `livestar.model.Attend` for one pass over packed chunks. Equals `PagedAttend` up to rounding."""

    def __init__(self, pool: PagePool, chunks: Sequence[Chunk]) -> None:
        self._pool = pool
        device = pool.keys_LRKH.device
        self._rows = torch.from_numpy(np.concatenate([chunk.rows for chunk in chunks])).to(device)
        self._runs = runs_of(chunks)
        self._sizes = [run.size for run in self._runs]
        self._visible = [row_index(run.visible, device) for run in self._runs]
        self._biases: list[torch.Tensor | None] = []

    def __call__(
        self, layer: int, q_TNH: torch.Tensor, k_TKH: torch.Tensor, v_TKH: torch.Tensor
    ) -> torch.Tensor:
        """Writes k and v of this layer, and returns the attention output [T, N, H]."""
        keys_RKH, values_RKH = self._pool.keys_LRKH[layer], self._pool.values_LRKH[layer]
        keys_RKH[self._rows] = k_TKH
        values_RKH[self._rows] = v_TKH
        if not self._biases:
            self._biases = [_bias(run, q_TNH, num_kv=k_TKH.shape[1]) for run in self._runs]
        outputs = [
            _attend(q_QNH, _take(keys_RKH, visible), _take(values_RKH, visible), bias_FW)
            for q_QNH, visible, bias_FW in zip(
                q_TNH.split(self._sizes), self._visible, self._biases, strict=True
            )
        ]
        return torch.cat(outputs)


def _attend(
    q_QNH: torch.Tensor, k_SKH: torch.Tensor, v_SKH: torch.Tensor, bias_FW: torch.Tensor | None
) -> torch.Tensor:
    """Grouped-query attention; the G queries of a row and kv head stand below each other."""
    num_queries, num_heads, width = q_QNH.shape
    num_kv = k_SKH.shape[1]
    q_KFH = q_QNH.view(num_queries, num_kv, -1, width).transpose(0, 1).reshape(num_kv, -1, width)
    k_KSH, v_KSH = k_SKH.transpose(0, 1), v_SKH.transpose(0, 1)
    if _as_products(q_QNH, num_queries, len(k_SKH)):
        out_KFH = _product_attention(q_KFH, k_KSH, v_KSH, bias_FW)
    else:
        # A batch of one: torch's fused kernel for a CPU wants four dimensions.
        out_KFH = F.scaled_dot_product_attention(q_KFH[None], k_KSH[None], v_KSH[None], attn_mask=bias_FW)[0]
    out_QKGH = out_KFH.view(num_kv, num_queries, -1, width).transpose(0, 1)
    return out_QKGH.reshape(num_queries, num_heads, width)


def _as_products(q_TNH: torch.Tensor, num_queries: int, num_visible: int) -> bool:
    """Whether plain products are faster: in bf16 on a CPU, where torch's fused kernel multiplies no faster than in float32."""
    is_small = num_queries * q_TNH.shape[1] * num_visible <= MAX_SCORES
    return q_TNH.dtype == torch.bfloat16 and q_TNH.device.type == "cpu" and is_small


def _product_attention(
    q_KFH: torch.Tensor, k_KSH: torch.Tensor, v_KSH: torch.Tensor, bias_FW: torch.Tensor | None
) -> torch.Tensor:
    """Scores and softmax in float32, weights and sums in the dtype of the values: what the fused kernel computes."""
    scores_KFS = torch.bmm(q_KFH.float() * q_KFH.shape[-1] ** -0.5, k_KSH.float().mT)
    if bias_FW is not None:
        scores_KFS[..., -bias_FW.shape[1] :] += bias_FW
    return torch.bmm(scores_KFS.softmax(dim=-1).to(v_KSH.dtype), v_KSH)


def _bias(run: Run, q_TNH: torch.Tensor, *, num_kv: int) -> torch.Tensor | None:
    """[F, W]: 0 where a folded query may attend, else -inf, over all visible rows or, for products, the run's own at the end.

    None for a single row, which sees everything.
    """
    if run.size == 1:
        return None
    as_products = _as_products(q_TNH, run.size, len(run.visible))
    columns, dtype = (run.size, torch.float32) if as_products else (len(run.visible), q_TNH.dtype)
    hidden_QW = torch.ones(run.size, columns, dtype=torch.bool, device=q_TNH.device)
    hidden_QW = hidden_QW.triu(columns - run.size + 1)
    bias_QW = torch.zeros_like(hidden_QW, dtype=dtype).masked_fill_(hidden_QW, -torch.inf)
    return bias_QW.repeat_interleave(q_TNH.shape[1] // num_kv, dim=0)


def _take(x_RKH: torch.Tensor, rows: torch.Tensor | slice) -> torch.Tensor:
    """[S, K, H]: some cache rows. Gathering whole rows takes a quarter of the time of indexing."""
    if isinstance(rows, slice):
        return x_RKH[rows]
    return x_RKH.flatten(1).index_select(0, rows).view(-1, *x_RKH.shape[1:])
