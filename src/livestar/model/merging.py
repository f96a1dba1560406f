"""From 1,024 patches to 16 visual tokens: pixel shuffle, then rounds of merging.

Shape suffixes: B frames, H and W patch grid, T tokens, A merged away, S surviving, C channels, D channels per head.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from livestar.model.config import NUM_VISUAL_TOKENS


def pixel_shuffle(x_BHWC: torch.Tensor) -> torch.Tensor:
    """Folds every 2 x 2 block of patches into channels, in the order (0,0), (0,1), (1,0), (1,1).

    Args:
        x_BHWC: [B, H, W, C], H and W even; any dtype.

    Returns:
        [B, H/2 x W/2, 4C], rows first.

    Source: InternVL, pixel unshuffle, `ps_version` v2 of the published checkpoint.
    """
    B, H, W, C = x_BHWC.shape
    blocks = x_BHWC.reshape(B, H // 2, 2, W // 2, 2, C).transpose(2, 3)
    return blocks.reshape(B, (H // 2) * (W // 2), 4 * C)


def merge_tokens(x_BTC: torch.Tensor, num_heads: int) -> torch.Tensor:
    """Halves the tokens until 16 are left: each even token joins the odd token that it resembles most.

    Computed in double precision, so that neither TF32 nor the summation order of a batched kernel can flip a choice.
    Deterministic: sums are matrix products, not atomics.

    Args:
        x_BTC: [B, T, C], T = 16 times a power of two.
        num_heads: heads of the language model; tokens are compared by the mean over heads of their channels.

    Returns:
        float32 [B, 16, C].

    Raises:
        ValueError: T is no such number.

    Source: ToMe (arXiv 2210.09461), in the per-frame form of the published checkpoint.
    """
    rounds = x_BTC.shape[1] // NUM_VISUAL_TOKENS
    if x_BTC.shape[1] % NUM_VISUAL_TOKENS or rounds & (rounds - 1) or rounds == 0:
        raise ValueError(f"{x_BTC.shape[1]} tokens do not halve to {NUM_VISUAL_TOKENS}.")
    x_BTC = x_BTC.double()
    sizes_BT = x_BTC.new_ones(x_BTC.shape[:2])
    while x_BTC.shape[1] > NUM_VISUAL_TOKENS:
        x_BTC, sizes_BT = _merge_once(x_BTC, sizes_BT, num_heads)
    return x_BTC.float()


def _merge_once(
    x_BTC: torch.Tensor, sizes_BT: torch.Tensor, num_heads: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """One round: T tokens become T/2, each the mean of its members weighted by their sizes."""
    metric_BTD = F.normalize(x_BTC.unflatten(-1, (num_heads, -1)).mean(dim=2), dim=-1)
    similarity_BAS = metric_BTD[:, ::2] @ metric_BTD[:, 1::2].mT
    joins_BSA = F.one_hot(similarity_BAS.argmax(dim=-1), similarity_BAS.shape[-1]).mT.to(x_BTC)
    mass_BTC = x_BTC * sizes_BT[..., None]
    merged_BSC = mass_BTC[:, 1::2] + joins_BSA @ mass_BTC[:, ::2]
    sizes_BS = sizes_BT[:, 1::2] + (joins_BSA @ sizes_BT[:, ::2, None])[..., 0]
    return merged_BSC / sizes_BS[..., None], sizes_BS
