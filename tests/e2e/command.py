"""Runs the installed `livestar` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 120
EXECUTABLE = Path(sys.executable).with_name("livestar")


@dataclass(frozen=True)
class Outcome:
    """What a finished command leaves behind."""

    status: int
    out: str
    err: str


def run(*arguments: str | Path) -> Outcome:
    """Runs the installed command to its end."""
    done = subprocess.run(
        [EXECUTABLE, *arguments], capture_output=True, encoding="utf-8", timeout=TIMEOUT_S, check=False
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@contextmanager
def started(*arguments: str | Path, **streams: int) -> Iterator[subprocess.Popen[str]]:
    """The installed command while it runs; it is gone afterwards."""
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "60"}
    process = subprocess.Popen(
        [EXECUTABLE, *arguments], encoding="utf-8", env=environment, start_new_session=True, **streams
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
