"""Moves cached keys to other positions."""

from __future__ import annotations

import numpy as np
import torch

from livestar.kv.pool import PagePool
from livestar.model.rotary import rotate_by


@torch.inference_mode()
def rerotate(pool: PagePool, rows: np.ndarray, deltas: np.ndarray, theta: float) -> None:
    """Rotates the keys in `rows` by `deltas` positions, in place; values do not depend on the position.

    The result is what the same hidden states would have given at the new positions, up to rounding to the pool's dtype.

    Args:
        pool: the memory.
        rows: int64 [n].
        deltas: int64 [n], new position minus old.
        theta: base of the rotary embedding.
    """
    if len(rows) == 0:
        return
    index = torch.from_numpy(rows).to(pool.keys_LRKH.device)
    delta = torch.from_numpy(deltas).to(pool.keys_LRKH.device)
    for keys_RKH in pool.keys_LRKH:
        keys_RKH[index] = rotate_by(keys_RKH[index], delta, theta)
