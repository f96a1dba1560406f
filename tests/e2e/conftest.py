"""The `livestar` command through its entry point, and something to watch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.command import Outcome
from fakes.video import uneven, write_clip
from livestar.client.cli import main


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the entry point in this process: where a process of its own is not the point, seconds are saved."""

    def enter(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["livestar", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsys.readouterr()
        return Outcome(int(left.value.code or 0), captured.out, captured.err)

    return enter


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About nine seconds of H.264 with uneven time stamps and a pause."""
    return write_clip(uneven("clip.mp4", 60), tmp_path_factory.mktemp("clip"))
