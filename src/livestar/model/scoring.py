"""Logits with float32 sums and float32 results, whatever the weights are.

bf16 logits between 16 and 32 lie 0.125 apart: too coarse for a gate that weighs 0.03 nats. Rounding only the inputs is harmless.

Shape suffixes: S scored rows, D width, V vocabulary. Source: paper, streaming verification decoding (the gate's margin).
"""

from __future__ import annotations

import torch

CHUNK_ROWS = 8192
"""Vocabulary rows that are widened to float32 at a time on a CPU; bounds the extra memory to 128 MiB at width 4,096."""


def score_rows(hidden_SD: torch.Tensor, weight_VD: torch.Tensor) -> torch.Tensor:
    """Logits float32 [S, V] of hidden states [S, D] against the vocabulary's rows [V, D]."""
    if weight_VD.dtype == torch.float32:
        return hidden_SD.float() @ weight_VD.T
    if weight_VD.is_cuda:
        return torch.mm(hidden_SD.to(weight_VD.dtype), weight_VD.T, out_dtype=torch.float32)
    hidden_SD = hidden_SD.float()
    return torch.cat([hidden_SD @ rows.float().T for rows in weight_VD.split(CHUNK_ROWS)], dim=-1)
