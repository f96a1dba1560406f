"""Visual tokens as protos."""

from __future__ import annotations

import math
import sys

import torch

from livestar.api.v1 import common_pb2
from livestar.core.errors import InvalidInput

_DTYPES: dict[int, torch.dtype] = {
    common_pb2.TENSOR_TYPE_FLOAT32: torch.float32,
    common_pb2.TENSOR_TYPE_FLOAT16: torch.float16,
    common_pb2.TENSOR_TYPE_BFLOAT16: torch.bfloat16,
}
_TYPES = {dtype: common_pb2.TensorType.ValueType(number) for number, dtype in _DTYPES.items()}

assert sys.byteorder == "little", "tensors travel as little-endian bytes and are read in place"


def tensor_proto(tensor: torch.Tensor) -> common_pb2.Tensor:
    """A tensor for the wire, from whatever device it is on.

    Raises:
        InvalidInput: its element type does not travel.
    """
    if tensor.dtype not in _TYPES:
        raise InvalidInput(f"a tensor of {tensor.dtype} does not travel: use float32, float16 or bfloat16")
    flat = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8)
    return common_pb2.Tensor(
        dtype=_TYPES[tensor.dtype], shape=list(tensor.shape), data=flat.numpy().tobytes()
    )


def tensor_of(proto: common_pb2.Tensor) -> torch.Tensor:
    """The tensor, on the host; a copy that belongs to the caller.

    Raises:
        InvalidInput: type, shape and data do not fit each other.
    """
    dtype = _DTYPES.get(proto.dtype)
    if dtype is None:
        raise InvalidInput(f"{proto.dtype} is no element type of a tensor: set dtype")
    shape = tuple(proto.shape)
    expected = math.prod(shape) * dtype.itemsize
    if not shape or min(shape) < 1 or len(proto.data) != expected:
        raise InvalidInput(
            f"a tensor of shape {list(shape)} and {dtype} has {expected} bytes, not {len(proto.data)}: encode it again"
        )
    return torch.frombuffer(bytearray(proto.data), dtype=dtype).view(shape)
