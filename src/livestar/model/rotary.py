"""Rotary positions as pure functions: no table, no state, always float32.

Dynamic NTK scaling never engages: the engine keeps positions below `max_position_embeddings`.

Shape suffixes: T tokens, N heads, H head width. Source: RoFormer (arXiv 2104.09864), in the half-split layout of the published
checkpoint.
"""

from __future__ import annotations

import torch


def rotary_cos_sin(positions: torch.Tensor, head_dim: int, theta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of every position, float32.

    Args:
        positions: [..., T], whole numbers; negative ones turn back.
        head_dim: H, even.
        theta: base of the frequencies.

    Returns:
        Two tensors [..., T, H / 2].
    """
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    angles = positions.float()[..., None] * (1.0 / theta**exponents)
    return angles.cos(), angles.sin()


def apply_rotary(x_TNH: torch.Tensor, cos_TH: torch.Tensor, sin_TH: torch.Tensor) -> torch.Tensor:
    """Rotates the pair (i, i + H/2) of every head, in float32, and returns x's dtype.

    Args:
        x_TNH: [..., T, N, H].
        cos_TH: [..., T, H / 2], from `rotary_cos_sin`.
        sin_TH: the same shape.
    """
    cos, sin = cos_TH.unsqueeze(-2), sin_TH.unsqueeze(-2)
    first, second = x_TNH.float().chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(x_TNH.dtype)


def rotate_by(k_TKH: torch.Tensor, delta_T: torch.Tensor, theta: float) -> torch.Tensor:
    """Moves keys that are already rotated by `delta_T` positions; rotations add up, so nothing else is needed.

    Args:
        k_TKH: keys [..., T, K, H].
        delta_T: new position minus old [..., T].
        theta: base of the frequencies.
    """
    return apply_rotary(k_TKH, *rotary_cos_sin(delta_T, k_TKH.shape[-1], theta))
