"""How the language model asks for attention, and the plain answer.

Shape suffixes: B sequences, T tokens, N query heads, K kv heads, H head width.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch.nn import functional as F


class Attend(Protocol):
    """Attention of one layer; what it sees beyond the given tokens (a cache, a mask) is its own affair."""

    def __call__(
        self, layer: int, q_TNH: torch.Tensor, k_TKH: torch.Tensor, v_TKH: torch.Tensor
    ) -> torch.Tensor:
        """Returns the heads' outputs [..., T, N, H].

        Args:
            layer: index from 0.
            q_TNH: rotated queries [..., T, N, H].
            k_TKH: rotated keys [..., T, K, H], N a multiple of K.
            v_TKH: values [..., T, K, H].
        """
        ...


class DenseAttend:
    """Attention over exactly the tokens given: no cache.

    Args:
        mask: bool, broadcastable to [B, 1, T, T], True = row may attend to column; None = causal.
    """

    def __init__(self, mask: torch.Tensor | None = None) -> None:
        self._mask = mask

    def __call__(
        self,
        layer: int,  # noqa: ARG002 - every layer sees the same tokens
        q_TNH: torch.Tensor,
        k_TKH: torch.Tensor,
        v_TKH: torch.Tensor,
    ) -> torch.Tensor:
        """Scaled dot-product attention [..., T, N, H]; kv head k serves query heads k N/K … (k + 1) N/K - 1."""
        batched = q_TNH.dim() == 4
        q, k, v = (
            x.transpose(-3, -2) if batched else x.transpose(-3, -2)[None] for x in (q_TNH, k_TKH, v_TKH)
        )
        out = F.scaled_dot_product_attention(
            q, k, v, attn_mask=self._mask, is_causal=self._mask is None, enable_gqa=True
        )
        return out.transpose(-3, -2) if batched else out[0].transpose(-3, -2)
