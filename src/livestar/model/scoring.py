"""Logits with float32 sums and float32 results, whatever the weights are.

bf16 logits between 16 and 32 lie 0.125 apart: too coarse for a gate that weighs 0.03 nats. Rounding only the inputs is harmless.

Shape suffixes: S scored rows, D width, V vocabulary. Source: paper, streaming verification decoding (the gate's margin).
"""

from __future__ import annotations

from typing import Any

import torch

CHUNK_ROWS = 8192
"""Vocabulary rows that are widened to float32 at a time on a CPU; bounds the extra memory to 128 MiB at width 4,096."""


def score_rows(hidden_SD: torch.Tensor, weight_VD: torch.Tensor) -> torch.Tensor:
    """Logits float32 [S, V] of hidden states [S, D] against the vocabulary's rows [V, D]; differentiable, autocast or not."""
    with torch.autocast(weight_VD.device.type, enabled=False):
        if weight_VD.dtype == torch.float32:
            return hidden_SD.float() @ weight_VD.T
        if weight_VD.is_cuda:
            return _WideProduct.apply(hidden_SD.to(weight_VD.dtype), weight_VD)  # type: ignore[no-any-return,no-untyped-call]
        hidden_SD = hidden_SD.float()
        return torch.cat([hidden_SD @ rows.float().T for rows in weight_VD.split(CHUNK_ROWS)], dim=-1)


class _WideProduct(torch.autograd.Function):
    """bf16 factors, float32 sums and result. Torch has this product but no derivative of it."""

    @staticmethod
    def forward(ctx: Any, hidden_SD: torch.Tensor, weight_VD: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(hidden_SD, weight_VD)
        return torch.mm(hidden_SD, weight_VD.T, out_dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *grads_SV: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden_SD, weight_VD = ctx.saved_tensors
        grad_SV = grads_SV[0].to(weight_VD.dtype)
        return grad_SV @ weight_VD, grad_SV.T @ hidden_SD
