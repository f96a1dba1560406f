"""What only a GPU computes differently: the wide product, double-precision merging, a bf16 training step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from livestar.model import load_model, merge_tokens
from livestar.model.scoring import score_rows

pytestmark = pytest.mark.gpu


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to("cuda", torch.bfloat16)


def test_bf16_scores_and_their_gradients_are_wide() -> None:
    hidden, weight = _random(5, 64).requires_grad_(), _random(999, 64).requires_grad_()
    logits = score_rows(hidden, weight)
    exact = hidden.double() @ weight.double().T
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits.double(), exact, atol=1e-4, rtol=1e-5)
    logits.square().sum().backward()
    expected = torch.autograd.grad(exact.square().sum(), (hidden, weight))
    for tensor, grad in zip((hidden, weight), expected, strict=True):
        assert tensor.grad is not None
        assert float((tensor.grad - grad).abs().max() / grad.abs().max()) < 0.01


def test_merging_is_deterministic_and_the_same_as_on_a_cpu() -> None:
    x = _random(4, 256, 512)
    merged = merge_tokens(x, 8)
    assert all(torch.equal(merged, merge_tokens(x, 8)) for _ in range(1000))
    assert torch.equal(merged, torch.cat([merge_tokens(frame[None], 8) for frame in x]))
    torch.testing.assert_close(merged.cpu(), merge_tokens(x.cpu(), 8), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("autocast", [True, False])
def test_a_training_step_reaches_every_weight(
    tiny_checkpoint: Path, dtype: torch.dtype, autocast: bool
) -> None:
    model = load_model(tiny_checkpoint, dtype=dtype, device="cuda").train()
    ids = torch.randint(0, 500, (2, 40), generator=torch.Generator().manual_seed(0)).cuda()
    ids[:, 4:20] = 511
    labels = torch.where(ids == 511, -100, ids)
    with torch.autocast("cuda", torch.bfloat16, enabled=autocast):
        out = model(ids, pixel_values=torch.randn(2, 3, 64, 64), labels=labels)
    assert out.logits.dtype == torch.float32
    out.loss.backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())
