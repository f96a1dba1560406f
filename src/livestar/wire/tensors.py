"""Tensors for the wire."""

from __future__ import annotations

import math

import torch

from livestar.api.v1 import common_pb2
from livestar.core.errors import InvalidInput

MAX_ELEMENTS = 2**24

_TYPES = {
    torch.float32: common_pb2.TENSOR_TYPE_FLOAT32,
    torch.float16: common_pb2.TENSOR_TYPE_FLOAT16,
    torch.bfloat16: common_pb2.TENSOR_TYPE_BFLOAT16,
}
_DTYPES = {number: dtype for dtype, number in _TYPES.items()}


def to_tensor(tensor: torch.Tensor) -> common_pb2.Tensor:
    """A floating-point tensor of any device, bit for bit.

    Raises:
        ValueError: its dtype is none that travels.
    """
    if tensor.dtype not in _TYPES:
        raise ValueError(f"tensors travel as float32, float16 or bfloat16, not {tensor.dtype}")
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return common_pb2.Tensor(dtype=_TYPES[tensor.dtype], shape=tensor.shape, data=flat.numpy().tobytes())


def from_tensor(wired: common_pb2.Tensor) -> torch.Tensor:
    """The tensor on the CPU, in memory of its own; its values may be anything, NaN included.

    Raises:
        InvalidInput: it says another size than it has, or an unknown type.
    """
    dtype = _DTYPES.get(wired.dtype)
    size = math.prod(wired.shape)
    if dtype is None or not 1 <= size <= MAX_ELEMENTS or len(wired.data) != size * dtype.itemsize:
        raise InvalidInput(
            f"a tensor of {len(wired.data)} bytes says it is {list(wired.shape)} of type {wired.dtype}: send it again"
        )
    return torch.frombuffer(bytearray(wired.data), dtype=dtype).reshape(tuple(wired.shape))
