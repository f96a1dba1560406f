"""What lies in a checkpoint folder, read without building a network: configuration, tensor names and shapes.

Source: published checkpoint layout.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from livestar.core.errors import CheckpointError
from livestar.model.config import LiveStarConfig

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
MAX_NAMED = 5
"""Tensors of a kind that an error names; the others are counted."""


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        CheckpointError: the file is missing, unreadable, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is no valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} must hold a JSON object.")
    return value


def read_config(directory: Path) -> LiveStarConfig:
    """The folder's configuration.

    Raises:
        CheckpointError: it is missing, broken, of another model, or asks for something that is not implemented.
    """
    if not directory.is_dir():
        raise CheckpointError(f"{directory} is not a folder; give the path of a local checkpoint.")
    values = read_json(directory / CONFIG_FILE)
    if values.get("model_type") != LiveStarConfig.model_type:
        raise CheckpointError(
            f"{directory / CONFIG_FILE} describes a {values.get('model_type')!r} model, "
            f"not {LiveStarConfig.model_type!r}."
        )
    try:
        config = LiveStarConfig.from_dict(values)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{directory / CONFIG_FILE} holds a value of the wrong kind: {reason}."
        ) from error
    config.name_or_path = str(directory)
    return config


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files of a folder, one or several.

    Raises:
        CheckpointError: there are none, or the index names a file that is not there.
    """
    index = directory / INDEX_FILE
    if not index.is_file():
        if not (directory / WEIGHTS_FILE).is_file():
            raise CheckpointError(f"{directory} holds no weights: neither {WEIGHTS_FILE} nor {INDEX_FILE}.")
        return [directory / WEIGHTS_FILE]
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise CheckpointError(f"{index} names no files in its weight_map.")
    files = [directory / name for name in sorted(set(map(str, names.values())))]
    if absent := [file.name for file in files if not file.is_file()]:
        raise CheckpointError(f"{index} names {_listed(absent)}, which the folder does not hold.")
    return files


def read_shapes(directory: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of every stored tensor, from the files' headers alone.

    Raises:
        CheckpointError: the files are missing or truncated.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for path in weight_files(directory):
        try:
            with safe_open(path, framework="pt") as file:
                shapes |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is damaged or truncated ({error}); fetch it again.") from error
    return shapes


def compare_tensors(expected: Mapping[str, Sequence[int]], found: Mapping[str, Sequence[int]]) -> None:
    """Passes only when names and shapes are the same.

    Raises:
        CheckpointError: one sentence with the missing, extra and mis-shaped tensors.
    """
    missing = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys())
    misshaped = [
        f"{name} (is {list(found[name])}, must be {list(shape)})"
        for name, shape in sorted(expected.items())
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    kinds = [("missing", missing), ("extra", extra), ("mis-shaped", misshaped)]
    if findings := [f"{kind} {_listed(names)}" for kind, names in kinds if names]:
        raise CheckpointError(f"The weights do not fit the configuration: {'; '.join(findings)}.")


def _listed(names: Iterable[str]) -> str:
    """The first few names, then how many more there are."""
    named = list(names)
    more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
    return ", ".join(named[:MAX_NAMED]) + more
