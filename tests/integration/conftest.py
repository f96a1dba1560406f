"""Fixtures of the integration tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.engine import TinyNetwork


@pytest.fixture(scope="session")
def tiny_network(tiny_checkpoint: Path) -> TinyNetwork:
    """The tiny checkpoint, loaded."""
    return TinyNetwork.load(tiny_checkpoint)
