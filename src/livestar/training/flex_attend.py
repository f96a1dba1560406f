"""SCAM as FlexAttention: tiles that nobody may see are skipped, tiles that everybody sees need no mask.

Shape suffixes: B sequences, T tokens, N query heads, K kv heads, H head width; Q and C tiles of rows and columns.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from livestar.model import DenseAttend
from livestar.training.batch import BLOCK


class FlexAttend:
    """Attention under SCAM; see `livestar.model.Attend`.

    Compiled on a GPU. On a CPU it runs unfused, for tests: there `scam_attend(..., fused=False)` is faster.

    Args:
        vis_until_BT: int [B, T], T a multiple of `BLOCK`; column c is visible to the rows c..vis_until[c].
    """

    def __init__(self, vis_until_BT: Tensor) -> None:
        self._mask = block_mask(vis_until_BT)

    def __call__(self, layer: int, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor) -> Tensor:  # noqa: ARG002
        """Scaled dot-product attention [B, T, N, H]; all arguments have a leading B."""
        q, k, v = (x.transpose(1, 2) for x in (q_TNH, k_TKH, v_TKH))
        attend = _fused() if q.is_cuda and not torch.compiler.is_compiling() else flex_attention
        return attend(q, k, v, block_mask=self._mask, enable_gqa=True).transpose(1, 2)  # type: ignore[no-any-return]


def scam_attend(vis_until_BT: Tensor, *, fused: bool) -> FlexAttend | DenseAttend:
    """Attention under SCAM: FlexAttention, or the plain product with a mask of B x T² booleans."""
    if fused:
        return FlexAttend(vis_until_BT)
    row_T1 = torch.arange(vis_until_BT.shape[1], device=vis_until_BT.device)[:, None]
    visible_BTT = (row_T1 >= row_T1.T) & (row_T1 <= vis_until_BT[:, None, :])
    return DenseAttend(visible_BTT[:, None])


def block_mask(vis_until_BT: Tensor) -> BlockMask:
    """The tiles that hold anything visible, straight from the columns' ranges: no B x T² table is made.

    Raises:
        ValueError: T is no multiple of `BLOCK`.
    """
    num_tokens = vis_until_BT.shape[1]
    if num_tokens % BLOCK:
        raise ValueError(f"{num_tokens} tokens are no multiple of {BLOCK}")
    until_BCc = vis_until_BT.unflatten(1, (-1, BLOCK))
    tile_Q1 = torch.arange(num_tokens // BLOCK, device=vis_until_BT.device)[:, None]
    first_row_Q1, last_row_Q1 = tile_Q1 * BLOCK, tile_Q1 * BLOCK + BLOCK - 1
    below_QC = tile_Q1 > tile_Q1.T
    seen_BQC = (below_QC | (tile_Q1 == tile_Q1.T)) & (until_BCc.amax(-1)[:, None, :] >= first_row_Q1)
    full_BQC = below_QC & (until_BCc.amin(-1)[:, None, :] >= last_row_Q1)

    def visible(b: Tensor, h: Tensor, q: Tensor, c: Tensor) -> Tensor:  # noqa: ARG001 - all heads alike
        return (c <= q) & (q <= vis_until_BT[b, c])

    return BlockMask.from_kv_blocks(  # type: ignore[no-any-return,no-untyped-call,unused-ignore]
        *_listed(seen_BQC & ~full_BQC),
        *_listed(full_BQC),
        BLOCK_SIZE=BLOCK,
        mask_mod=visible,
        seq_lengths=(num_tokens, num_tokens),
    )


def _listed(tiles_BQC: Tensor) -> tuple[Tensor, Tensor]:
    """How many tiles each row of tiles holds, and which: those first, the others behind them."""
    chosen_B1QC = tiles_BQC[:, None].int()
    order_B1QC = chosen_B1QC.argsort(dim=-1, descending=True, stable=True)
    return chosen_B1QC.sum(-1, dtype=torch.int32), order_B1QC.int()


@cache
def _fused() -> Any:
    return torch.compile(flex_attention, dynamic=False)
