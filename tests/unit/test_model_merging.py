"""Pixel shuffle and token merging against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from livestar.model import merge_tokens, pixel_shuffle

pytestmark = pytest.mark.unit


def _naive_merge(tokens: np.ndarray, num_heads: int) -> np.ndarray:
    """One frame, one pair at a time, in double precision."""
    members = [(token.astype(np.float64), 1) for token in tokens]
    while len(members) > 16:
        directions = []
        for vector, _ in members:
            mean = vector.reshape(num_heads, -1).mean(axis=0)
            directions.append(mean / np.linalg.norm(mean))
        groups = {b: [members[b]] for b in range(1, len(members), 2)}
        for a in range(0, len(members), 2):
            groups[max(groups, key=lambda b: float(directions[a] @ directions[b]))].append(members[a])
        members = []
        for group in groups.values():
            size = sum(count for _, count in group)
            members.append((sum(count * vector for vector, count in group) / size, size))
    return np.stack([vector for vector, _ in members])


def test_pixel_shuffle_orders_each_block_by_rows() -> None:
    x = torch.arange(2 * 4 * 6 * 3).view(2, 4, 6, 3)
    shuffled = pixel_shuffle(x)
    assert shuffled.shape == (2, 6, 12)
    for row in range(2):
        for column in range(3):
            block = [x[1, 2 * row + i, 2 * column + j] for i in (0, 1) for j in (0, 1)]
            assert torch.equal(shuffled[1, row * 3 + column], torch.cat(block))


@pytest.mark.parametrize("num_tokens", [16, 32, 64, 256])
def test_merging_is_the_plain_loop(num_tokens: int) -> None:
    x = torch.randn(3, num_tokens, 24, generator=torch.Generator().manual_seed(num_tokens))
    merged = merge_tokens(x, 4)
    assert merged.dtype == torch.float32
    for frame, expected in zip(merged, x.numpy(), strict=True):
        np.testing.assert_allclose(frame.numpy(), _naive_merge(expected, 4), atol=1e-6)


def test_each_frame_is_merged_on_its_own_and_always_alike() -> None:
    x = torch.randn(4, 256, 64, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    together = merge_tokens(x, 8)
    assert torch.equal(together, torch.cat([merge_tokens(frame[None], 8) for frame in x]))
    assert all(torch.equal(together, merge_tokens(x, 8)) for _ in range(20))


def test_equal_tokens_join_the_first() -> None:
    merged = merge_tokens(torch.ones(1, 32, 8), 2)
    assert torch.equal(merged, torch.ones(1, 16, 8))


@pytest.mark.parametrize("num_tokens", [0, 8, 24, 48])
def test_other_numbers_are_refused(num_tokens: int) -> None:
    with pytest.raises(ValueError, match="16"):
        merge_tokens(torch.ones(1, num_tokens, 8), 2)
