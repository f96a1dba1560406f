"""A linear layer that takes the faster of torch's two float32 products on a CPU.

Torch multiplies float32 with MKL, which does not use AVX-512 on AMD's processors; oneDNN does, and torch has it for bf16 and for
compiled graphs. On such a machine it takes half the time, elsewhere about the same.
"""

from __future__ import annotations

import torch
from torch import nn

MIN_ROWS = 4
"""Below, reading the weights is what costs, and MKL is not slower."""

HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


class Linear(nn.Linear):
    """`nn.Linear`, equal up to rounding; inference in float32 on a CPU goes through oneDNN."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in_features] to [..., out_features]."""
        if HAS_ONEDNN and self._is_plain_inference(x):
            product = torch.ops.mkldnn._linear_pointwise  # what torch's own compiler calls
            return product(x, self.weight, self.bias, "none", [], "")  # type: ignore[no-any-return]
        return super().forward(x)

    def _is_plain_inference(self, x: torch.Tensor) -> bool:
        """The product has no derivative, and autocast does not know it."""
        return (
            x.device.type == "cpu"
            and x.dtype == self.weight.dtype == torch.float32
            and x.numel() >= MIN_ROWS * self.in_features
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
        )
