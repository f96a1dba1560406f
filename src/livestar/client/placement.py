"""Where and in which precision a network runs, by the names of the command line."""

from __future__ import annotations

import torch

from livestar.core.errors import InvalidInput

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def device_named(name: str) -> torch.device:
    """The device, if this machine has it.

    Raises:
        InvalidInput: it has not, or there is no such name.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InvalidInput(f"--device is 'cpu', 'cuda' or 'cuda:N', not '{name}'") from error
    if device.type not in ("cpu", "cuda"):
        raise InvalidInput(f"--device is 'cpu', 'cuda' or 'cuda:N', not '{name}'")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise InvalidInput(
            f"--device {name} is not there, PyTorch finds {found} CUDA devices: use --device cpu"
        )
    return device


def dtype_named(name: str) -> torch.dtype:
    """The precision.

    Raises:
        InvalidInput: there is no such name.
    """
    if name not in DTYPES:
        raise InvalidInput(f"--dtype is {' or '.join(map(repr, DTYPES))}, not '{name}'")
    return DTYPES[name]
