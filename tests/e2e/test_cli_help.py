"""The first thing that anybody types is answered at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

import livestar
from e2e.command import run

pytestmark = pytest.mark.e2e


def test_help_names_the_commands() -> None:
    got = run("--help")
    assert (got.status, got.err) == (0, "")
    assert all(command in got.out for command in ("watch", "parity", "version"))


def test_version() -> None:
    assert run("version").out == f"{livestar.__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    """Under half a second only without these."""
    script = "import sys, livestar.client.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "av", "numpy"} & set(done.stdout.split())
