"""Who lives, and where; and two systems on one Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from livestar.bus import Address, Directory, RedisLink, keys

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

ONE = Address("one", "127.0.0.1:1", "127.0.0.1:2")
TWO = Address("two", "", "127.0.0.1:3")


@pytest.fixture
def prefix() -> Iterator[None]:
    yield
    keys.use_prefix("")


async def test_the_living_are_found_and_the_silent_are_forgotten(redis_link: RedisLink) -> None:
    directory = Directory(redis_link)
    assert await directory.find("ingest") == []
    await directory.announce("ingest", TWO, ttl_s=0.1)
    await directory.announce("ingest", ONE)
    assert await directory.find("ingest") == [ONE, TWO]
    assert await directory.find("vision") == []
    await asyncio.sleep(0.15)
    assert await directory.find("ingest") == [ONE]


async def test_who_leaves_is_gone_at_once(redis_link: RedisLink) -> None:
    directory = Directory(redis_link)
    announcing = asyncio.create_task(directory.keep_announcing("ingest", ONE, ttl_s=0.3))
    for _ in range(5):
        await asyncio.sleep(0.1)
        assert await directory.find("ingest") == [ONE]
    announcing.cancel()
    await asyncio.gather(announcing, return_exceptions=True)
    assert await directory.find("ingest") == []


async def test_two_systems_share_one_redis(redis_link: RedisLink, prefix: None) -> None:
    directory = Directory(redis_link)
    keys.use_prefix("a")
    await directory.announce("ingest", ONE)
    keys.use_prefix("b")
    assert await directory.find("ingest") == []
    assert keys.streams() == "b:streams"
    assert {key.split(":")[0] for key in keys.all_frames()} == {"b"}
    keys.use_prefix("a")
    assert await directory.find("ingest") == [ONE]
