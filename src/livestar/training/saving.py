"""Trained networks as folders in the published layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict

from livestar.core.errors import CheckpointError
from livestar.model import LiveStarModel
from livestar.model.folder import INDEX_FILE
from livestar.model.template import OVERRIDES_FILE
from livestar.model.tokenizer import MODEL_FILE, SETTINGS_FILE

TOKENIZER_FILES = (MODEL_FILE, SETTINGS_FILE, OVERRIDES_FILE)


def save_model(
    network: LiveStarModel,
    tokenizer_dir: Path,
    directory: Path,
    *,
    max_shard_mb: float = 4000.0,
    dtype: torch.dtype = torch.bfloat16,
) -> None:
    """Writes configuration, weights and tokenizer; `livestar.model.load_model` reads them.

    Args:
        network: left as it is.
        tokenizer_dir: folder whose tokenizer and template are copied.
        directory: created where missing; older weights in it are replaced.
        max_shard_mb: largest file, in 10^6 bytes.
        dtype: of the stored weights.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for old in (*directory.glob("model*.safetensors"), directory / INDEX_FILE):
        old.unlink(missing_ok=True)
    weights = {name: tensor.detach().to("cpu", dtype) for name, tensor in network.state_dict().items()}
    save_torch_state_dict(
        weights, directory, max_shard_size=round(max_shard_mb * 1e6), metadata={"format": "pt"}
    )
    for written in directory.glob("model*.safetensors"):
        # safetensors writes for the owner alone; an image's user is somebody else.
        written.chmod(0o644)
    config = type(network.config).from_dict(network.config.to_dict())
    config.architectures, config.dtype = [type(network).__name__], dtype
    config.save_pretrained(directory)
    copy_tokenizer(tokenizer_dir, directory)


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copies the tokenizer's files, and the template's where there is one.

    Raises:
        CheckpointError: the source has no tokenizer.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            if source.resolve() != target.resolve():
                shutil.copyfile(source / name, target / name)
        elif name != OVERRIDES_FILE:
            raise CheckpointError(f"{source} holds no {name}.")
