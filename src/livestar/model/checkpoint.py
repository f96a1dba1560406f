"""Loads a published checkpoint, strictly: what is in the files must be what the network needs, no more and no less.

Source: published checkpoint layout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open

from livestar.model.config import LiveStarConfig
from livestar.model.folder import compare_tensors, read_config, read_shapes, weight_files
from livestar.model.livestar import LiveStarModel, empty_model

DTYPES = (torch.float32, torch.bfloat16)


def expected_tensors(config: LiveStarConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a checkpoint; the published one has 573."""
    return empty_model(config).tensor_shapes()


def check_tensors(config: LiveStarConfig, found: Mapping[str, Sequence[int]]) -> None:
    """Passes only when `found` (name to shape) is exactly what the configuration needs.

    Raises:
        CheckpointError: one sentence with the missing, extra and mis-shaped tensors.
    """
    compare_tensors(expected_tensors(config), found)


def load_model(
    directory: Path | str, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> LiveStarModel:
    """The network of a local folder, in eval mode.

    Files are memory-mapped; each tensor is cast once, directly to `dtype`. On a CPU, in the files' own dtype, the weights stay
    mapped: do not overwrite the folder in place while the model lives.

    Args:
        directory: with config.json and one or several safetensors files.
        dtype: float32 or bfloat16.
        device: where the weights go.

    Raises:
        CheckpointError: the folder is incomplete, damaged, or does not fit its configuration.
        ValueError: another dtype.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be torch.float32 or torch.bfloat16, not {dtype}.")
    directory = Path(directory)
    config = read_config(directory)
    model = empty_model(config)
    compare_tensors(model.tensor_shapes(), read_shapes(directory))
    weights: dict[str, torch.Tensor] = {}
    for path in weight_files(directory):
        with safe_open(path, framework="pt") as file:
            weights |= {name: file.get_tensor(name).to(device, dtype) for name in file.keys()}  # noqa: SIM118
    model.load_state_dict(weights, assign=True)
    model.config.dtype = dtype
    model.eval()  # type: ignore[no-untyped-call]
    return model
