"""What happens when Redis is away, comes back, refuses, or is full."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
import traceback

import pytest

from livestar.bus import EmbeddedRedis, Patience, RedisLink, RedisStreams
from livestar.core.errors import CapacityExceeded, FailedPrecondition, InvalidInput, Unavailable

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

BRIEF = Patience(connect_s=0.2, answer_s=0.3, give_up_s=0.5)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_no_redis_is_said_in_one_sentence_and_in_time() -> None:
    async with RedisLink(f"redis://user:hunter2@127.0.0.1:{free_port()}/0", patience=BRIEF) as link:
        started = time.monotonic()
        with pytest.raises(Unavailable, match="does not answer: start it, or set REDIS_URL") as away:
            await RedisStreams(link).publish("k", b"", maxlen=1)
        assert 0.2 < time.monotonic() - started < 3
        told = f"{away.value} {link!r} {''.join(traceback.format_exception(away.value))}"
        assert "127.0.0.1" in told
        assert "hunter2" not in told


async def test_a_server_that_is_silent_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://:hunter2@127.0.0.1:{silent.getsockname()[1]}/0"
        async with RedisLink(url, patience=BRIEF) as link:
            started = time.monotonic()
            with pytest.raises(Unavailable):
                await link.execute("PING")
            assert time.monotonic() - started < 3
    assert "hunter2" not in caplog.text


async def test_a_restart_is_waited_for() -> None:
    port = free_port()
    first = EmbeddedRedis(port=port)
    async with RedisLink(first.url, patience=Patience(give_up_s=8)) as link:
        bus = RedisStreams(link)
        await bus.publish("k", b"lost", maxlen=9)
        first.stop()
        publishing = asyncio.create_task(bus.publish("k", b"kept", maxlen=9))
        reading = asyncio.create_task(bus.read_group(["k"], "g", "c", count=9, block_s=5))
        await asyncio.sleep(0.3)
        assert not publishing.done()
        second = await asyncio.to_thread(EmbeddedRedis, port=port)
        try:
            await asyncio.wait_for(publishing, 8)
            assert [entry.payload for entry in await asyncio.wait_for(reading, 8)] == [b"kept"]
        finally:
            second.stop()


@pytest.mark.parametrize("url", ["http://u:hunter2@h", "redis://u:hunter2@h:port/0", "hunter2", ""])
async def test_what_is_no_address_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(InvalidInput, match="redis://") as refused:
        RedisLink(url)
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


async def test_a_wrong_password_and_a_missing_one_say_so(
    redis_server: EmbeddedRedis, redis_link: RedisLink
) -> None:
    await redis_link.execute("CONFIG", "SET", "requirepass", "hunter2")
    try:
        wrong, none = f"redis://:hunter3@127.0.0.1:{redis_server.port}/0", redis_server.url
        for url in (wrong, none):
            async with RedisLink(url, patience=BRIEF) as link:
                with pytest.raises(FailedPrecondition, match="password") as refused:
                    await link.execute("GET", "k")
                assert "hunter" not in "".join(traceback.format_exception(refused.value))
        async with RedisLink(f"redis://:hunter2@127.0.0.1:{redis_server.port}/0") as link:
            await link.check()
    finally:
        await redis_link.execute("CONFIG", "SET", "requirepass", "")


async def test_a_full_memory_is_capacity_exceeded(redis_link: RedisLink) -> None:
    await redis_link.execute("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(CapacityExceeded, match="out of memory"):
            await RedisStreams(redis_link).publish("k", b"x", maxlen=9)
    finally:
        await redis_link.execute("CONFIG", "SET", "maxmemory", "0")


async def test_a_command_that_is_given_up_leaves_no_answer_for_the_next_one(
    redis_server: EmbeddedRedis,
) -> None:
    async with RedisLink(redis_server.url, patience=BRIEF, max_connections=1) as link:
        with pytest.raises(Unavailable):
            await link.execute("BLPOP", "nothing", 0.5)
        for number in range(3):
            assert await link.execute("ECHO", str(number)) == str(number).encode()


async def test_more_readers_than_connections_is_unavailable_not_a_hang(redis_server: EmbeddedRedis) -> None:
    async with RedisLink(redis_server.url, patience=BRIEF, max_connections=2) as link:
        bus = RedisStreams(link)
        waiting = [asyncio.create_task(bus.read({f"k{n}": "0-0"}, count=1, block_s=30)) for n in range(2)]
        await asyncio.sleep(0.1)
        with pytest.raises(Unavailable):
            await bus.ping()
        for reading in waiting:
            reading.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await bus.ping()
