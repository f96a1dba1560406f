"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fakes.decoding import Edge, memory
from fakes.engine import TinyNetwork
from livestar.bus import EmbeddedRedis, RedisLink

if TYPE_CHECKING:
    from fakes.gateway import RunningGateway


@pytest.fixture(scope="session")
def tiny_network(tiny_checkpoint: Path) -> TinyNetwork:
    """The tiny checkpoint, loaded."""
    return TinyNetwork.load(tiny_checkpoint)


@pytest.fixture
async def memory_address(redis_server: EmbeddedRedis, edge: Edge) -> AsyncIterator[str]:
    """A memory service over an empty Redis."""
    async with memory(redis_server.url) as address:
        yield address


@pytest.fixture
async def gateway(redis_server: EmbeddedRedis, redis_link: RedisLink) -> AsyncIterator[RunningGateway]:
    """A whole gateway over a real, empty Redis."""
    from fakes.gateway import running_gateway

    async with running_gateway(redis_server.url) as running:
        yield running
