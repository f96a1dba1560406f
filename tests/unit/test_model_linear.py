"""The faster product on a CPU is the plain one."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from livestar.model.linear import HAS_ONEDNN, MIN_ROWS, Linear

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("shape", [(1, 24), (MIN_ROWS, 24), (33, 24), (2, 17, 24), (0, 24)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_inference_is_the_plain_product(shape: tuple[int, ...], bias: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer, x = Linear(24, 40, bias=bias).to(dtype), torch.randn(shape).to(dtype)
    with torch.inference_mode():
        plain = F.linear(x, layer.weight, layer.bias)
        torch.testing.assert_close(layer(x), plain, atol=1e-5, rtol=1e-5)
        strided = x.expand(3, *shape).transpose(0, -2)
        torch.testing.assert_close(
            layer(strided), F.linear(strided, layer.weight, layer.bias), atol=1e-5, rtol=1e-5
        )


@pytest.mark.skipif(not HAS_ONEDNN, reason="this torch has no oneDNN")
def test_only_inference_takes_the_faster_product() -> None:
    layer, x = Linear(24, 40), torch.randn(8, 24)
    with torch.profiler.profile() as profile, torch.no_grad():
        layer(x)
    assert "mkldnn::_linear_pointwise" in {event.name for event in profile.events()}
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
