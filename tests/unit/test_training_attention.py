from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from livestar.model import DenseAttend
from livestar.training.batch import BLOCK
from livestar.training.flex_attend import FlexAttend, block_mask, scam_attend
from livestar.training.scam import FOREVER, Segment, dense_mask, scam_layout

pytestmark = [
    pytest.mark.unit,
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile"),
]


def columns(*sizes: int, num_tokens: int = 3 * BLOCK) -> torch.Tensor:
    """Trunk and leaf by turns, and trunk to the end."""
    segments = [Segment("leaf" if i % 2 else "trunk", size) for i, size in enumerate(sizes)]
    layout = scam_layout([*segments, Segment("trunk", num_tokens - sum(sizes))], "released")
    return layout.vis_until


def heads(*shape: int) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    return tuple(torch.randn(2, shape[0], n, 16) for n in (4, 2, 2))


@torch.no_grad()
def test_flex_attention_equals_the_dense_mask():
    vis_until = torch.stack([columns(10, 20, 200, 60), columns(100, 150, 1, 1)])
    q, k, v = heads(vis_until.shape[1])
    dense = scam_attend(vis_until, fused=False)
    assert isinstance(dense, DenseAttend)
    torch.testing.assert_close(FlexAttend(vis_until)(0, q, k, v), dense(0, q, k, v), atol=1e-5, rtol=1e-5)


def test_the_dense_mask_is_that_of_the_layout():
    vis_until = columns(10, 20, 200, 60)
    dense = scam_attend(vis_until[None], fused=False)
    assert torch.equal(dense._mask[0, 0], dense_mask(vis_until))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 90), max_size=4))
def test_tiles_cover_exactly_what_is_visible(sizes):
    vis_until = columns(*sizes)
    mask = block_mask(vis_until[None])
    tiles = dense_mask(vis_until).unflatten(0, (-1, BLOCK)).unflatten(2, (-1, BLOCK))
    partial = (mask.kv_num_blocks, mask.kv_indices)
    full = (mask.full_kv_num_blocks, mask.full_kv_indices)
    for row in range(3):
        kinds = []
        for numbers, indices in (partial, full):
            kinds.append(set(indices[0, 0, row, : numbers[0, 0, row]].tolist()))
        assert kinds[1] == {c for c in range(3) if tiles[row, :, c].all()}
        assert kinds[0] | kinds[1] == {c for c in range(3) if tiles[row, :, c].any()}
        assert not kinds[0] & kinds[1]


def test_a_length_that_is_no_multiple_of_a_tile_is_refused():
    with pytest.raises(ValueError, match="multiple"):
        block_mask(torch.full((1, 100), FOREVER))


@pytest.mark.gpu
def test_the_compiled_kernel_equals_the_dense_mask_forward_and_backward():
    vis_until = torch.stack([columns(10, 20, 200, 60), columns(100, 150, 1, 1)]).cuda().int()
    q, k, v = (x.cuda().requires_grad_() for x in heads(vis_until.shape[1]))
    grads = []
    for fused in (True, False):
        out = scam_attend(vis_until, fused=fused)(0, q, k, v)
        grads.append((out, *torch.autograd.grad(out.square().sum(), (q, k, v))))
    for flex, dense in zip(*grads, strict=True):
        torch.testing.assert_close(flex, dense, atol=2e-2, rtol=2e-2)
