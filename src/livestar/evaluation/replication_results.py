"""The measurements that a replication report is made of: small JSON files in one folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livestar.core.errors import BadAnnotation, InvalidInput

Row = dict[str, Any]
"""A line as the program that measured has printed it."""

TEST, VALIDATION, ALPHA, REFERENCE = "test.jsonl", "validation.jsonl", "alpha.jsonl", "reference.jsonl"
MEMORY_300, MEMORY_600 = "memory-300.jsonl", "memory-600.jsonl"
TRAINING, BASELINES, SPREAD = "training.jsonl", "baselines.json", "spread.json"
SPEED = "speed.json"
FILES = (TEST, VALIDATION, BASELINES, SPREAD, TRAINING, ALPHA, REFERENCE, MEMORY_300, MEMORY_600, SPEED)
"""Every file that is read; each may be missing."""


@dataclass(frozen=True)
class Results:
    """The rows of the files that are there; a `.json` file is one row.

    Attributes:
        rows: by the file's name; files that are missing or empty have none.
    """

    rows: dict[str, tuple[Row, ...]]

    @classmethod
    def read(cls, folder: Path) -> Results:
        """Reads what is there.

        Raises:
            InvalidInput: there is no such folder.
            BadAnnotation: a file is not JSON.
        """
        if not folder.is_dir():
            raise InvalidInput(f"there is no folder {folder}: name the one that holds {TEST} and the others.")
        found = {name: _read(folder / name) for name in FILES if (folder / name).is_file()}
        return cls({name: rows for name, rows in found.items() if rows})

    def of(self, name: str) -> tuple[Row, ...]:
        """The rows of a file; none when it is missing."""
        return self.rows.get(name, ())

    def one(self, name: str) -> Row | None:
        """The first row of a file."""
        return next(iter(self.of(name)), None)

    @property
    def missing(self) -> tuple[str, ...]:
        """Files that hold nothing."""
        return tuple(name for name in FILES if name not in self.rows)


def _read(path: Path) -> tuple[Row, ...]:
    text = path.read_text(encoding="utf-8")
    parts = [text] if path.suffix == ".json" else text.splitlines()
    try:
        return tuple(json.loads(part) for part in parts if part.strip())
    except json.JSONDecodeError as error:
        raise BadAnnotation(
            f"{path.name} is not JSON ({error}): delete it, and measure or copy it again."
        ) from error
