"""A stream that moves to another decoder goes on as if nothing had happened; nothing is lost and nothing comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fakes.decoding import Edge, decisions, decoder, memory_stub, same, stub, until
from fakes.nano import Nano
from livestar.api.v1 import common_pb2, decoder_pb2, memory_pb2
from livestar.bus import EmbeddedRedis, RedisLeases, Role
from livestar.core.errors import NotOwner
from livestar.core.frame import EncodedFrame
from livestar.core.ids import FrameNumber
from livestar.engine import Engine, EngineSettings
from livestar.kv import PositionPolicy
from livestar.memory import TokenBudget
from livestar.model.identity import model_id
from livestar.service import Process
from livestar.wire.snapshot import snapshot_of

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

ENDED = common_pb2.STREAM_STATE_ENDED
QUESTION = "What colour is the traffic light?"


def standing() -> common_pb2.WatchSettings:
    channel = common_pb2.ChannelSpec(channel="q1", kind=common_pb2.CHANNEL_KIND_STANDING, text=QUESTION)
    return common_pb2.WatchSettings(channels=[channel])


def asked(text: str = "What is there?") -> decoder_pb2.AskRequest:
    return decoder_pb2.AskRequest(stream_id="clip", text=text)


def has_restored(process: Process, number: int) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        opened = process.metrics.value("livestar_decoder_streams_opened_total", how="restored")
        return opened == number

    return reached


async def test_released_between_two_frames_with_its_questions_and_its_memory(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano
):
    seen = nano.seen("clip", family=0, num_frames=18)
    async with decoder(redis_server.url, memory_address) as first, stub(first.grpc_address) as calls:
        await edge.create("clip", settings=standing())
        await edge.publish(seen.message(n) for n in range(1, 9))
        await edge.until_settled("clip", 8)
        [answer] = [r.answer async for r in calls.Ask(asked()) if r.HasField("answer")]
        async with decoder(redis_server.url, memory_address) as second:
            released = await calls.ReleaseStream(decoder_pb2.ReleaseStreamRequest(stream_id="clip"))
            assert released.decided_sequence == 8
            with pytest.raises(NotOwner):
                await calls.InspectStream(decoder_pb2.InspectStreamRequest(stream_id="clip"))
            await edge.publish(seen.message(n) for n in range(9, 19))
            await edge.until_settled("clip", 18)
            assert second.metrics.value("livestar_decoder_streams_opened_total", how="restored") == 1
            async with stub(second.grpc_address) as new_calls:
                view = await new_calls.InspectStream(decoder_pb2.InspectStreamRequest(stream_id="clip"))
                [later] = [r.answer async for r in new_calls.Ask(asked()) if r.HasField("answer")]
            await edge.publish([seen.end(19)])
            await edge.until_state("clip", ENDED)
    events = await edge.events("clip")
    same(events, nano.watch(seen, standing=[QUESTION]))
    assert len({event.epoch for event in events}) == 2
    assert [channel.channel for channel in view.channels] == ["narration", "q1"]
    assert view.channels[1].text == QUESTION
    assert (answer.question_id, later.question_id) == (1, 2), "ids go on"
    assert [event.answer for event in events if event.HasField("answer")] == [answer, later]


@pytest.mark.slow
async def test_with_recomputed_positions_it_goes_on_equally_even_after_forgetting(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano
):
    seen = nano.seen("clip", family=1, num_frames=24)
    changes = {"max_trunk_tokens": 480, "max_caption_tokens": 32, "positions": PositionPolicy.RECOMPUTED}
    settings = nano.settings(memory=TokenBudget(max_trunk_tokens=480), **changes)
    watch = common_pb2.WatchSettings(
        memory=common_pb2.MemoryPolicy(max_trunk_tokens=480), max_caption_tokens=32
    )
    await edge.create("clip", settings=watch)
    for start in (1, 9, 17):
        async with decoder(redis_server.url, memory_address, positions="recomputed"):
            await edge.publish(seen.message(n) for n in range(start, start + 8))
            await edge.until_settled("clip", start + 7)
    events = await edge.events("clip")
    same(events, nano.watch(seen, settings=settings))
    assert len({event.epoch for event in events}) == 3


async def test_a_decoder_that_stops_hands_over_in_the_middle_of_its_work(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano
):
    clips = [nano.seen(f"clip-{n}", family=n, num_frames=14) for n in range(3)]
    async with decoder(redis_server.url, memory_address) as first:
        for seen in clips:
            await edge.create(seen.stream)
            await edge.publish(seen.message(n) for n in range(1, 15))
        await edge.until_settled("clip-0", 2)
        async with decoder(redis_server.url, memory_address) as second:
            first.stop()
            await until(has_restored(second, 3), "the other has all streams")
            for seen in clips:
                await edge.publish([seen.end(15)])
            for seen in clips:
                await edge.until_state(seen.stream, ENDED)
    for seen in clips:
        events = await edge.events(seen.stream)
        assert len({event.epoch for event in events}) == 2
        same(events, nano.watch(seen))


@pytest.mark.slow
async def test_an_owner_that_loses_its_lease_stops_and_writes_nothing_more(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano
):
    seen = nano.seen("clip", family=0, num_frames=18)
    leases = RedisLeases(edge.link)
    await edge.create("clip")
    async with decoder(redis_server.url, memory_address, lease_ttl_s=1.0, settle_s=30.0) as first:
        await edge.publish(seen.message(n) for n in range(1, 7))
        await edge.until_settled("clip", 6)
        assert await leases.expire(Role.DECODER, seen.stream)
        stolen = await leases.acquire(Role.DECODER, seen.stream, owner="thief", address="t:1", ttl_s=60.0)
        assert stolen
        await edge.publish(seen.message(n) for n in range(7, 13))
        await asyncio.sleep(1.0)
        assert first.metrics.value("livestar_decoder_streams_closed_total", why="lost") == 1
        assert len(decisions(await edge.events("clip"))) == 6
        assert first.metrics.value("livestar_decoder_owned_streams") == 0
        await leases.release(stolen)
        async with decoder(redis_server.url, memory_address):
            await edge.publish([*(seen.message(n) for n in range(13, 19)), seen.end(19)])
            await edge.until_state("clip", ENDED)
    same(await edge.events("clip"), nano.watch(seen))


async def test_a_decoder_with_another_checkpoint_begins_anew_and_says_so(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano, tmp_path
):
    other = tmp_path / "other-nano"
    other.mkdir()
    for file in nano.folder.iterdir():
        (other / file.name).symlink_to(file)
    seen = nano.seen("clip", family=0, num_frames=12)
    await edge.create("clip")
    async with decoder(redis_server.url, memory_address):
        await edge.publish(seen.message(n) for n in range(1, 5))
        await edge.until_settled("clip", 4)
    renamed = model_id(other)
    async with decoder(redis_server.url, memory_address, model=str(other)):
        await edge.publish(seen.message(n, model_id=renamed) for n in range(5, 9))
        await edge.until_settled("clip", 8)
    async with decoder(redis_server.url, memory_address, model=str(other)):
        await edge.publish([*(seen.message(n, model_id=renamed) for n in range(9, 13)), seen.end(13)])
        await edge.until_state("clip", ENDED)
    events = await edge.events("clip")
    [failure] = [event.failure for event in events if event.HasField("failure")]
    assert failure.reason == "FailedPrecondition"
    assert "belongs to checkpoint" in failure.message
    assert [frame for frame, _ in decisions(events)] == list(range(1, 13))
    anew = nano.watch(seen, without=range(1, 5))
    same([event for event in events if event.frame_sequence > 4], anew)


async def test_a_snapshot_that_was_kept_is_the_engines(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano
):
    """What the memory keeps, after forgetting and with a standing question, equals the memory of one engine."""
    seen = nano.seen("clip", family=1, num_frames=20)
    settings = nano.settings(
        max_trunk_tokens=480, max_caption_tokens=32, memory=TokenBudget(max_trunk_tokens=480)
    )
    watch = standing()
    watch.memory.max_trunk_tokens, watch.max_caption_tokens = 480, 32
    await edge.create("clip", settings=watch)
    async with decoder(redis_server.url, memory_address):
        await edge.publish(seen.message(n) for n in range(1, 21))
        await edge.until_settled("clip", 20)
    async with memory_stub(memory_address) as stub_of_memory:
        parts = [p async for p in stub_of_memory.Load(memory_pb2.LoadRequest(stream_id="clip", epoch=99))]
    head, rest = parts[0].head, parts[1:]
    kept = snapshot_of(
        seen.stream,
        settings,
        head,
        [part.segment for part in rest if part.HasField("segment")],
        [part.kept_frame for part in rest if part.HasField("kept_frame")],
    )
    engine = Engine.of(nano.model, EngineSettings(num_pages=1024))
    engine.open_stream(seen.stream, settings)
    engine.stand(seen.stream, QUESTION, channel="q1")
    for n in range(1, 21):
        engine.submit_frame(
            seen.stream, EncodedFrame(FrameNumber(n), (n - 1) * 1_000_000_000, seen.tokens[n - 1])
        )
        list(engine.run_until_idle())
    own = engine.snapshot(seen.stream)
    assert [(s.kind, s.ids, s.clip, s.frame) for s in kept.segments] == [
        (s.kind, s.ids, s.clip, s.frame) for s in own.segments
    ]
    assert kept.positions == own.positions
    assert [(c.id, c.prompt, c.gate, c.asked) for c in kept.channels] == [
        (c.id, c.prompt, c.gate, c.asked) for c in own.channels
    ]
    assert (kept.clip, kept.last_frame, kept.next_question) == (own.clip, own.last_frame, own.next_question)
    assert kept.visual_tokens.keys() == own.visual_tokens.keys()
    for number, tokens in kept.visual_tokens.items():
        assert tokens.equal(own.visual_tokens[number])
    engine.close_stream(seen.stream)
    engine.restore(kept)
