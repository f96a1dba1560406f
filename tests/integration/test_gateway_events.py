"""What a stream says reaches everybody, each event once, from any cursor, whatever breaks."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from fakes.gateway import RunningGateway, running_gateway
from fakes.listener import Heard, hear, listening
from fakes.storyteller import Storyteller
from livestar.api.v1 import common_pb2, events_pb2
from livestar.bus import EmbeddedRedis, RedisLink, keys
from livestar.core.ids import StreamId

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

EVENTS = "/v1/streams/door/events"


async def tell_a_story(teller: Storyteller, frames: int) -> None:
    for number in range(frames):
        teller.next_frame()
        await (teller.silent() if number % 3 else teller.speak(f"Number {number}."))


async def running(gateway: RunningGateway, **options: int) -> Storyteller:
    teller = await gateway.stream(**options)
    await teller.state("starting")
    await teller.state("running")
    return teller


def sequences(heard: list[Heard]) -> list[int]:
    return [event.sequence for event in heard]


async def subscribed(gateway: RunningGateway, count: int) -> None:
    async with asyncio.timeout(5):
        while (gateway.metrics.value("livestar_gateway_connected_subscribers", transport="sse") or 0) < count:
            await asyncio.sleep(0.01)


async def test_many_subscribers_hear_everything_once_and_it_is_read_once(gateway: RunningGateway) -> None:
    teller = await running(gateway)
    listeners = [asyncio.create_task(hear(gateway.http, f"{EVENTS}?after=0")) for _ in range(8)]
    await subscribed(gateway, 8)
    await tell_a_story(teller, 12)
    await teller.state("ended")
    for heard in await asyncio.wait_for(asyncio.gather(*listeners), 10):
        assert sequences(heard) == list(range(1, teller.sequence + 1))
        assert [event.id for event in heard] == [str(event.sequence) for event in heard]
        assert heard[-1].kind == "state_changed"
    assert gateway.metrics.value("livestar_gateway_events_read_total") == teller.sequence
    assert gateway.metrics.value("livestar_gateway_events_sent_total", transport="sse") == 8 * teller.sequence
    assert gateway.metrics.value("livestar_gateway_connected_subscribers", transport="sse") == 0


async def test_events_say_what_happened(gateway: RunningGateway) -> None:
    teller = await running(gateway)
    teller.next_frame(1_500_000_000)
    await teller.speak("A car.", pieces=False)
    await teller.silent(0.25)
    await teller.state("failed", "the camera went away")
    spoke, silent, failed = await hear(gateway.http, f"{EVENTS}?after=2")
    decision = spoke.event["decision"]
    assert (spoke.kind, spoke.event["pts_ns"], decision["text"]) == ("decision", "1500000000", "A car.")
    assert (decision["action"], decision["rule"], decision["nll"]) == ("ACTION_SPEAK", "RULE_FIRST", "NaN")
    assert (silent.event["decision"]["action"], silent.event["decision"]["nll"]) == ("ACTION_SILENT", 0.25)
    assert failed.event["state_changed"] == {"state": "STREAM_STATE_FAILED", "reason": "the camera went away"}


async def test_a_reader_resumes_by_header_or_query_and_the_header_goes_first(gateway: RunningGateway) -> None:
    teller = await running(gateway)
    await tell_a_story(teller, 4)
    last = teller.sequence
    first = await hear(gateway.http, f"{EVENTS}?after=0", 3)
    assert sequences(first) == [1, 2, 3]
    rest = last - 3
    assert sequences(await hear(gateway.http, f"{EVENTS}?after=3", rest)) == list(range(4, last + 1))
    headers = {"Last-Event-ID": str(last - 1)}
    assert sequences(await hear(gateway.http, f"{EVENTS}?after=1", 1, headers=headers)) == [last]


async def test_without_a_cursor_only_what_happens_from_now_on_is_told(gateway: RunningGateway) -> None:
    teller = await running(gateway)
    await tell_a_story(teller, 3)
    before = teller.sequence
    async with listening(gateway.http, EVENTS) as events:
        await subscribed(gateway, 1)
        await asyncio.sleep(0.05)
        teller.next_frame()
        await teller.silent()
        assert (await anext(events)).sequence == before + 1


async def test_reconnecting_again_and_again_loses_and_repeats_nothing(gateway: RunningGateway) -> None:
    teller = await running(gateway)

    async def wander() -> list[int]:
        seen: list[int] = []
        while not seen or seen[-1] < 95:
            seen += sequences(await hear(gateway.http, f"{EVENTS}?after={seen[-1] if seen else 0}", 7))
        return seen

    readers = [asyncio.create_task(wander()) for _ in range(3)]
    while teller.sequence < 110:
        teller.next_frame()
        await teller.silent()
        await asyncio.sleep(0.002)
    for seen in await asyncio.wait_for(asyncio.gather(*readers), 10):
        assert seen == list(range(1, len(seen) + 1))


async def test_a_cursor_older_than_what_is_kept_gets_a_gap_first(gateway: RunningGateway) -> None:
    teller = await running(gateway, max_events=20)
    await tell_a_story(teller, 40)
    last, kept = teller.sequence, 20
    gap, *rest = await hear(gateway.http, f"{EVENTS}?after=5", kept + 1)
    assert (gap.kind, gap.id, gap.sequence) == ("gap", "", 0)
    assert gap.event["events_missed"] == {"after_sequence": "5", "oldest_sequence": str(last - kept + 1)}
    assert sequences(rest) == list(range(last - kept + 1, last + 1))
    assert gateway.metrics.value("livestar_gateway_gaps_total") == 1


async def test_a_cursor_behind_the_memory_of_the_gateway_is_read_from_the_bus(
    redis_server: EmbeddedRedis, redis_link: RedisLink
) -> None:
    async with running_gateway(redis_server.url, kept_events=10) as gateway:
        teller = await running(gateway)
        await tell_a_story(teller, 40)
        last = teller.sequence
        reading = asyncio.create_task(hear(gateway.http, f"{EVENTS}?after=0", last + 2))
        await subscribed(gateway, 1)
        await tell_a_story(teller, 3)
        assert sequences(await asyncio.wait_for(reading, 5)) == list(range(1, last + 3))


async def test_a_cursor_ahead_of_everything_gets_a_gap_and_goes_on(gateway: RunningGateway) -> None:
    teller = await running(gateway)
    async with listening(gateway.http, f"{EVENTS}?after=1000") as events:
        gap = await anext(events)
        assert gap.event["events_missed"] == {"after_sequence": "1000", "oldest_sequence": "3"}
        await tell_a_story(teller, 1)
        assert (await anext(events)).sequence == 3


async def test_speech_only_leaves_out_pieces_and_silence(gateway: RunningGateway) -> None:
    teller = await running(gateway)
    await tell_a_story(teller, 6)
    await teller.state("ended")
    heard = await hear(gateway.http, f"{EVENTS}?after=0&speech_only=true")
    assert [event.kind for event in heard] == ["state_changed"] * 2 + ["decision"] * 2 + ["state_changed"]


@asynccontextmanager
async def deaf(gateway: RunningGateway, path: str) -> AsyncIterator[socket.socket]:
    """A subscriber that takes nothing from its socket."""
    host = urlsplit(gateway.url).hostname, urlsplit(gateway.url).port
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.settimeout(10)
        await asyncio.to_thread(connection.connect, host)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        yield connection


def all_that_comes(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while chunk := connection.recv(65536):
            received += chunk
            if received.endswith(b"0\r\n\r\n"):
                break
    return received


async def test_who_does_not_keep_up_is_told_and_resumes_by_the_cursor(
    redis_server: EmbeddedRedis, redis_link: RedisLink
) -> None:
    async with running_gateway(redis_server.url, max_queue=32) as gateway:
        teller = await running(gateway)
        async with deaf(gateway, f"{EVENTS}?after=0") as connection:
            await subscribed(gateway, 1)
            quick = asyncio.create_task(hear(gateway.http, f"{EVENTS}?after=0"))
            await subscribed(gateway, 2)
            # More than any socket's buffers hold.
            long = "word " * 20_000
            async with asyncio.timeout(20):
                while not gateway.metrics.value("livestar_gateway_lagging_total"):
                    await teller.speak(long, pieces=False)
            received = (await asyncio.to_thread(all_that_comes, connection)).decode()
        *events, notice = [block for block in received.split("\n\n") if "event: " in block]
        assert "event: lagging" in notice
        assert "CapacityExceeded" in notice
        assert "resume behind the last event" in notice
        seen = [int(block.split("id: ")[1].split("\n")[0]) for block in events if "id: " in block]
        assert seen == list(range(1, len(seen) + 1))
        assert len(seen) < teller.sequence
        await teller.state("ended")
        rest = await hear(gateway.http, f"{EVENTS}?after={seen[-1]}")
        assert sequences(rest) == list(range(seen[-1] + 1, teller.sequence + 1))
        assert sequences(await asyncio.wait_for(quick, 10)) == list(range(1, teller.sequence + 1))


async def test_hanging_up_frees_the_subscription(gateway: RunningGateway) -> None:
    await running(gateway)
    await hear(gateway.http, f"{EVENTS}?after=0", 1)
    async with asyncio.timeout(5):
        while gateway.metrics.value("livestar_gateway_connected_subscribers", transport="sse"):
            await asyncio.sleep(0.01)


async def test_silence_is_broken_by_heartbeats(redis_server: EmbeddedRedis, redis_link: RedisLink) -> None:
    async with running_gateway(redis_server.url, heartbeat_s=0.1) as gateway:
        await running(gateway)
        async with gateway.http.stream("GET", EVENTS) as response:
            lines = response.aiter_lines()
            found = [await asyncio.wait_for(anext(lines), 2) for _ in range(6)]
        assert found == ["retry: 1000", "", ": alive", "", ": alive", ""]


@pytest.mark.slow
async def test_a_stream_that_ends_without_a_word_is_over_all_the_same(gateway: RunningGateway) -> None:
    """Nobody decides a stream that is stopped before anybody took it."""
    await gateway.stream()
    listening_to_it = asyncio.create_task(hear(gateway.http, f"{EVENTS}?after=0"))
    await subscribed(gateway, 1)
    assert (await gateway.http.delete("/v1/streams/door")).status_code == 200
    (over,) = await asyncio.wait_for(listening_to_it, 10)
    assert over.event["state_changed"] == {"state": "STREAM_STATE_STOPPED", "reason": "stopped by a caller"}
    assert (over.id, over.sequence) == ("", 0)


async def test_who_comes_after_the_end_is_told_so(gateway: RunningGateway) -> None:
    teller = await running(gateway)
    await teller.state("ended", "the source came to its end")
    heard = await asyncio.wait_for(hear(gateway.http, f"{EVENTS}?after={teller.sequence}"), 5)
    assert [event.event["state_changed"]["state"] for event in heard] == ["STREAM_STATE_ENDED"]
    assert heard[0].sequence == 0


async def test_a_stream_that_is_deleted_is_gone_for_its_subscribers(gateway: RunningGateway) -> None:
    teller = await running(gateway)
    listening_to_it = asyncio.create_task(hear(gateway.http, f"{EVENTS}?after=0"))
    await subscribed(gateway, 1)
    await gateway.registry.delete(StreamId("door"))
    await gateway.bus.delete(keys.events(StreamId("door")))
    *_, gone = await asyncio.wait_for(listening_to_it, 10)
    assert (gone.kind, gone.event["status"], gone.event["reason"]) == ("error", 404, "NotFound")
    assert teller.sequence == 2


async def test_a_stream_of_the_same_name_is_another_one(gateway: RunningGateway) -> None:
    teller = await running(gateway)
    await tell_a_story(teller, 2)
    await hear(gateway.http, f"{EVENTS}?after=0", 1)
    await gateway.registry.delete(StreamId("door"))
    await gateway.bus.delete(keys.events(StreamId("door")))
    again = await running(gateway)
    assert sequences(await hear(gateway.http, f"{EVENTS}?after=0", 2)) == [1, 2]
    assert again.sequence == 2


async def test_an_entry_that_is_no_event_is_told_as_a_failure(gateway: RunningGateway) -> None:
    teller = await running(gateway)
    await gateway.bus.publish(keys.events(StreamId("door")), b"\xff\xff", maxlen=100, entry_id="3-0")
    teller.sequence = 3
    await tell_a_story(teller, 1)
    heard = await hear(gateway.http, f"{EVENTS}?after=2", 2)
    assert [(event.kind, event.sequence) for event in heard] == [("failure", 3), ("text_piece", 4)]
    assert gateway.metrics.value("livestar_gateway_events_unreadable_total") == 1


async def test_more_subscribers_than_allowed_are_refused(
    redis_server: EmbeddedRedis, redis_link: RedisLink
) -> None:
    async with running_gateway(redis_server.url, max_subscribers=1) as gateway:
        await running(gateway)
        async with listening(gateway.http, EVENTS):
            refused = await gateway.http.get(EVENTS)
            assert (refused.status_code, refused.json()["reason"]) == (429, "CapacityExceeded")
            assert refused.headers["retry-after"]


async def test_a_gateway_that_goes_sends_its_subscribers_elsewhere(
    redis_server: EmbeddedRedis, redis_link: RedisLink
) -> None:
    async with running_gateway(redis_server.url) as gateway:
        await running(gateway)
        listening_to_it = asyncio.create_task(hear(gateway.http, f"{EVENTS}?after=0"))
        await subscribed(gateway, 1)
        await gateway.gateway.drain()
        *_, bye = await asyncio.wait_for(listening_to_it, 5)
        assert (bye.kind, bye.event["status"], bye.event["retryable"]) == ("error", 503, True)
        refused = await gateway.http.get(EVENTS)
        assert refused.status_code == 503


@pytest.mark.slow
async def test_redis_may_go_and_come_back(
    redis_link: RedisLink, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = tmp_path_factory.mktemp("redis")
    redis = await asyncio.to_thread(EmbeddedRedis, data=data)
    try:
        async with running_gateway(redis.url) as gateway:
            teller = await running(gateway)
            heard: list[Heard] = []
            listener = asyncio.create_task(hear(gateway.http, f"{EVENTS}?after=0", into=heard))
            await subscribed(gateway, 1)
            await asyncio.to_thread(redis.stop)
            async with asyncio.timeout(15):
                while not any(event.kind == "failure" for event in heard):
                    await asyncio.sleep(0.05)
                refused = await gateway.http.get("/v1/streams")
                assert (refused.status_code, refused.json()["reason"]) == (503, "Unavailable")
                assert refused.headers["retry-after"]
                redis = await asyncio.to_thread(EmbeddedRedis, data=data, port=redis.port)
                await teller.state("ended")
                await listener
            assert sequences([event for event in heard if event.sequence]) == [1, 2, 3]
            told = [event.event["failure"] for event in heard if event.kind == "failure"]
            assert told == [{"reason": "Unavailable", "message": told[0]["message"], "retryable": True}]
    finally:
        await asyncio.to_thread(redis.stop)


@pytest.mark.slow
async def test_events_that_redis_lost_are_a_gap_and_not_a_silence(gateway: RunningGateway) -> None:
    """Redis may come back with less than it had; then the same numbers are given to other events."""
    teller = await running(gateway)
    await tell_a_story(teller, 3)
    listening_to_it = asyncio.create_task(hear(gateway.http, f"{EVENTS}?after=0"))
    await subscribed(gateway, 1)
    stream = StreamId("door")
    await gateway.bus.delete(keys.events(stream))
    await gateway.link.execute("HSET", keys.stream(stream), "event_sequence", 2)
    *_, told = await asyncio.wait_for(listening_to_it, 10)
    assert (told.kind, told.event["retryable"]) == ("error", True)
    seen, teller.sequence = teller.sequence, 2
    await teller.tell(text_piece=events_pb2.TextPiece(channel="narration", text="again"))
    gap = await hear(gateway.http, f"{EVENTS}?after={seen}", 1)
    assert gap[0].kind == "gap"
    info = await gateway.registry.get(stream)
    assert info.state == common_pb2.STREAM_STATE_RUNNING
