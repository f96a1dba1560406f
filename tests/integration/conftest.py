"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.decoding import Edge, memory
from fakes.engine import TinyNetwork
from livestar.bus import EmbeddedRedis


@pytest.fixture(scope="session")
def tiny_network(tiny_checkpoint: Path) -> TinyNetwork:
    """The tiny checkpoint, loaded."""
    return TinyNetwork.load(tiny_checkpoint)


@pytest.fixture
async def memory_address(redis_server: EmbeddedRedis, edge: Edge) -> AsyncIterator[str]:
    """A memory service over an empty Redis."""
    async with memory(redis_server.url) as address:
        yield address
