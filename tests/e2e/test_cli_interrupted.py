"""A command that is stopped in the middle leaves quietly, and leaves the terminal as it was."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from e2e.command import TIMEOUT_S, started

pytestmark = pytest.mark.e2e

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def watching(clip: Path, checkpoint: Path) -> tuple[str | Path, ...]:
    """Nine seconds of watching: the clip at the pace of life."""
    return "watch", clip, "--model", checkpoint, "--realtime", "--fps", "4", "--max-caption-tokens", "8"


@pytest.mark.slow
def test_lines_come_at_once_and_ctrl_c_ends_them(clip: Path, tiny_checkpoint: Path) -> None:
    arguments = (*watching(clip, tiny_checkpoint), "--json")
    with started(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["frame"] == 1
        assert process.poll() is None, "the first line comes long before the last"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (130, "")
    assert all(json.loads(line) for line in out.splitlines()), "no half lines"


@pytest.mark.slow
def test_a_reader_that_has_seen_enough(clip: Path, tiny_checkpoint: Path) -> None:
    arguments = (*watching(clip, tiny_checkpoint), "--json")
    with started(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(TIMEOUT_S) == 1
        assert process.stderr.read() == ""


@pytest.mark.slow
def test_ctrl_c_restores_the_terminal(clip: Path, tiny_checkpoint: Path) -> None:
    ours, theirs = pty.openpty()
    shown = ""
    with started(*watching(clip, tiny_checkpoint), stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        while "PPL" not in shown and (text := _read(ours)):
            shown += text
        process.send_signal(signal.SIGINT)
        while text := _read(ours):
            shown += text
        assert process.wait(TIMEOUT_S) == 130
    os.close(ours)
    assert "Traceback" not in shown
    assert "loading" in shown
    assert 0 < shown.rindex(HIDE_CURSOR) < shown.rindex(SHOW_CURSOR) < shown.rindex("watched in")


def _read(terminal: int) -> str:
    """What comes next; empty once nobody writes any more."""
    try:
        return os.read(terminal, 4096).decode(errors="replace")
    except OSError:
        return ""
