"""A video that is watched by a process of its own: for programs that never load a network themselves."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from livestar.client.aside import Aside
from livestar.core.errors import LiveStarError

STOP_S = 5.0
MAX_LINE_CHARS = 1024 * 1024

_WATCH = "from livestar.client.cli import main; main()"


@contextmanager
def watching(video: str, options: Sequence[str] = ()) -> Iterator[Iterator[dict[str, Any] | None]]:
    """Lines of `livestar watch --json --local`, and None whenever none has come for a moment. The process is gone afterwards.

    Raises:
        LiveStarError: while iterating: what the process said when it failed.
    """
    command = [sys.executable, "-c", _WATCH, "watch", "--local", "--json", *options, "--", video]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own command; the video is an argument
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        try:
            with Aside(lambda: _lines(process, errors), "watching") as lines:
                yield iter(lines)
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _lines(process: subprocess.Popen[str], errors: IO[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    with process.stdout as out:
        while text := out.readline(MAX_LINE_CHARS):
            yield json.loads(text)
    if process.wait():
        errors.seek(0)
        said = errors.read(4096).strip().splitlines()
        raise LiveStarError(
            said[-1].removeprefix("livestar: ") if said else f"it ended with exit status {process.returncode}"
        )
