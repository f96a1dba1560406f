"""Fixtures that every room shares."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fakes.decoding import Edge
    from fakes.nano import Nano
    from livestar.bus import EmbeddedRedis, RedisLink

# One thread a process: tests run in parallel processes, and threads that wait for each other on busy cores cost 10 times more.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Vectors of the published reference: LIVESTAR_GOLDEN_DIR names `livestar-tiny` or the folder around it."""
    name = os.environ.get("LIVESTAR_GOLDEN_DIR")
    if not name:
        pytest.skip("LIVESTAR_GOLDEN_DIR is not set")
    if not Path(name).is_dir():
        pytest.skip(f"LIVESTAR_GOLDEN_DIR names no folder: {name}")
    inner = Path(name) / "livestar-tiny"
    return inner if inner.is_dir() else Path(name)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete checkpoint folder in float32 with a tiny random network; treat as read-only."""
    from fakes.checkpoint import write_tiny_checkpoint

    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny-checkpoint"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests, marked `anyio`, run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
async def one_loop(anyio_backend: str) -> AsyncIterator[None]:
    """Keeps one event loop for all async tests: gRPC's core goes on calling the loops that it has seen."""
    yield  # noqa: PT022 - a fixture that returned would not keep it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every async test runs on that loop."""
    for item in items:
        if item.get_closest_marker("anyio") and isinstance(item, pytest.Function):
            item.fixturenames.insert(0, "one_loop")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """A real Redis of this test process, on a free port; gone at the end."""
    from livestar.bus import EmbeddedRedis

    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
async def redis_link(redis_server: EmbeddedRedis) -> AsyncIterator[RedisLink]:
    """A connection to a real, empty Redis."""
    from livestar.bus import RedisLink

    async with RedisLink(redis_server.url) as link:
        await link.execute("FLUSHALL")
        yield link


@pytest.fixture
async def edge(redis_link: RedisLink) -> Edge:
    """What stands around the memory and decoder services."""
    from fakes.decoding import Edge

    return Edge(redis_link)


@pytest.fixture(scope="session")
def nano() -> Nano:
    """The shipped checkpoint, loaded."""
    from fakes.nano import Nano

    return Nano()
