"""Names a checkpoint by its content, so that processes that must use the same one can tell."""

from __future__ import annotations

import hashlib
from pathlib import Path

from livestar.core.errors import CheckpointError

BLOCK_BYTES = 64 * 1024
NUM_BLOCKS = 64


def model_id(folder: Path) -> str:
    """`<folder name>-<12 hexadecimal digits>`; equal for equal checkpoints, wherever they lie under the same name.

    Small files count whole. Of a large one, its size and blocks spread evenly over it, its header among them: a checkpoint of
    many gigabytes is named in well under a second.

    Raises:
        CheckpointError: the folder holds no checkpoint.
    """
    files = sorted(path for path in folder.glob("*") if path.suffix in _PARTS and path.is_file())
    if not any(path.suffix == ".safetensors" for path in files):
        raise CheckpointError(f"{folder} holds no *.safetensors: give a checkpoint folder")
    digest = hashlib.blake2b(digest_size=6)
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}:".encode())
        with path.open("rb") as file:
            for start in _starts(size):
                file.seek(start)
                digest.update(file.read(BLOCK_BYTES))
    return f"{folder.resolve().name}-{digest.hexdigest()}"


_PARTS = (".json", ".model", ".safetensors")


def _starts(size: int) -> list[int]:
    whole = range(0, size, BLOCK_BYTES)
    if len(whole) <= NUM_BLOCKS:
        return list(whole)
    last = size - BLOCK_BYTES
    return [last * n // (NUM_BLOCKS - 1) for n in range(NUM_BLOCKS)]
