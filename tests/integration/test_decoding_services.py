"""The memory and decoder services decide as the engine does in one process, whatever the bus does to the frames."""

from __future__ import annotations

import asyncio
import random

import pytest

from fakes.decoding import Edge, decisions, decoder, same, texts
from fakes.nano import Nano
from livestar.api.v1 import common_pb2, events_pb2
from livestar.bus import EmbeddedRedis, keys
from livestar.core.ids import StreamId
from livestar.memory import PublishedPeakEnd, TokenBudget

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

ENDED = common_pb2.STREAM_STATE_ENDED


def shuffled(messages: list, seed: int, reach: int = 4) -> list:
    """Everything twice, and up to `reach` places from where it belongs."""
    dice = random.Random(seed)
    placed = [(index + dice.uniform(0, reach), message) for index, message in enumerate(messages * 2)]
    half = len(messages)
    placed = [(at - half if index >= half else at, m) for index, (at, m) in enumerate(placed)]
    return [message for _, message in sorted(placed, key=lambda pair: pair[0])]


async def test_several_streams_at_once_out_of_order_and_twice_are_decided_as_by_the_engine(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano
):
    clips = [nano.seen(f"clip-{n}", family=n, num_frames=14) for n in range(3)]
    async with decoder(redis_server.url, memory_address) as process:
        for seen in clips:
            await edge.create(seen.stream)
        sent = [
            shuffled([*(seen.message(n) for n in range(1, 15)), seen.end(15)], seed)
            for seed, seen in enumerate(clips)
        ]
        for together in zip(*sent, strict=True):
            await edge.publish(together)
        for seen in clips:
            await edge.until_state(seen.stream, ENDED)
        assert process.metrics.value("livestar_decoder_batch_streams_count") > 0
        assert process.metrics.value("livestar_decoder_entries_refused_total", reason="again") >= 3 * 14
    for seen in clips:
        events = await edge.events(seen.stream)
        expected = nano.watch(seen)
        same(events, expected)
        spoken = {(d.frame, d.channel): d.text for d in expected if d.action == "speak"}
        assert {at: text.strip() for at, text in texts(events).items()} == spoken
        assert events[-1].state_changed.state == ENDED
        info = await edge.registry.get(seen.stream)
        assert (info.decided_sequence, info.event_sequence) == (15, len(events))
        assert info.decided_pts_ns == 13_000_000_000
        assert await edge.bus.length(keys.tokens(seen.stream)) == 0


@pytest.mark.parametrize(
    ("asked", "policy"),
    [
        ({"max_trunk_tokens": 480}, TokenBudget(max_trunk_tokens=480)),
        (
            {
                "kind": common_pb2.MEMORY_POLICY_KIND_PUBLISHED_PEAK_END,
                "max_trunk_tokens": 600,
                "trigger_frames": 6,
            },
            PublishedPeakEnd(6),
        ),
    ],
    ids=["token budget", "peak-end"],
)
async def test_a_stream_forgets_as_its_policy_says_whoever_plans(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano, asked: dict, policy: object
):
    seen = nano.seen("clip", family=1, num_frames=24)
    settings = nano.settings(max_trunk_tokens=asked["max_trunk_tokens"], memory=policy, max_caption_tokens=32)
    watch = common_pb2.WatchSettings(memory=common_pb2.MemoryPolicy(**asked), max_caption_tokens=32)
    async with decoder(redis_server.url, memory_address) as process:
        await edge.create(seen.stream, settings=watch)
        for n in range(1, 25):
            await edge.publish([seen.message(n)])
            # As live: the memory's plan comes before the next frame. Sometimes in a hurry: it does not.
            if n % 4:
                await edge.until_settled(seen.stream, n)
        await edge.publish([seen.end(25)])
        await edge.until_state(seen.stream, ENDED)
        made = {m: process.metrics.value("livestar_decoder_plans_total", made=m) for m in ("memory", "here")}
    assert made["memory"] > 12, "the memory's ledger is the engine's, and its plans are used"
    assert made["here"] > 0
    expected = nano.watch(seen, settings=settings)
    same(await edge.events(seen.stream), expected)
    plain = nano.watch(seen, settings=nano.settings(max_caption_tokens=32))
    assert [d.nll for d in plain] != [d.nll for d in expected], "something was forgotten"


async def test_standing_questions_from_the_start_are_decided_as_by_the_engine(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano
):
    seen = nano.seen("clip", family=0, num_frames=12)
    question = "What colour is the traffic light?"
    async with decoder(redis_server.url, memory_address):
        channel = common_pb2.ChannelSpec(channel="q1", kind=common_pb2.CHANNEL_KIND_STANDING, text=question)
        await edge.create(seen.stream, settings=common_pb2.WatchSettings(channels=[channel]))
        await edge.publish([*(seen.message(n) for n in range(1, 13)), seen.end(13)])
        await edge.until_state(seen.stream, ENDED)
    same(await edge.events(seen.stream), nano.watch(seen, standing=[question]))


async def test_frames_that_never_come_are_told_in_order_and_the_others_are_decided(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano
):
    seen = nano.seen("clip", family=2, num_frames=13)
    failure = seen.message(9)
    failure.failure.reason = "BadImage"
    async with decoder(redis_server.url, memory_address, hole_s=0.3):
        await edge.create(seen.stream)
        await edge.publish(
            [
                seen.message(1),
                seen.message(4, dropped_before=2),  # 2 and 3 were dropped by ingest
                seen.message(6),  # 5 is lost
                seen.message(7, model_id="another"),
                seen.message(8, epoch=0, stream_id="somebody else's"),
                seen.message(10),  # 8 is lost, 9 could not be encoded
                failure,
                seen.message(12, epoch=2),
                seen.message(13, epoch=1),  # an ingest whose time is over
                seen.message(11, epoch=1),  # late, from before
            ]
        )
        await edge.publish([seen.end(13, events_pb2.END_REASON_STOPPED, epoch=2)])
        await edge.until_state(seen.stream, common_pb2.STREAM_STATE_STOPPED)
    events = await edge.events(seen.stream)
    told = [event for event in events if event.HasField("decision") or event.HasField("frames_missing")]
    order = [
        (e.frames_missing.first_sequence, e.frames_missing.last_sequence, e.frames_missing.reason)
        if e.HasField("frames_missing")
        else e.frame_sequence
        for e in told
    ]
    dropped, lost = events_pb2.GAP_REASON_INGEST_DROPPED, events_pb2.GAP_REASON_LOST
    unreadable = events_pb2.GAP_REASON_UNREADABLE
    assert order == [
        1,
        (2, 3, dropped),
        4,
        (5, 5, lost),
        6,
        (7, 7, unreadable),
        (8, 8, lost),
        (9, 9, unreadable),
        10,
        11,
        12,
    ]
    same(events, nano.watch(seen, without=[2, 3, 5, 7, 8, 9, 13]))


async def test_a_stream_whose_settings_cannot_work_says_so(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge
):
    async with decoder(redis_server.url, memory_address):
        few = common_pb2.WatchSettings(memory=common_pb2.MemoryPolicy(max_trunk_tokens=40))
        await edge.create("small", settings=few)
        await edge.until_state("small", common_pb2.STREAM_STATE_FAILED)
    failure, state = await edge.events("small")
    assert failure.failure.reason == "InvalidInput"
    assert "max_trunk_tokens is at least" in failure.failure.message
    assert state.state_changed.state == common_pb2.STREAM_STATE_FAILED
    assert (await edge.registry.get(StreamId("small"))).reason == failure.failure.message


async def test_a_decoder_takes_no_more_streams_than_it_can_hold_and_another_takes_the_rest(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano
):
    seen = [nano.seen(f"clip-{n}", family=n, num_frames=3) for n in range(3)]
    num_pages = 2 * -(-nano.settings().max_rows // 16) + 10
    async with decoder(redis_server.url, memory_address, num_pages=num_pages) as first:
        for clip in seen:
            await edge.create(clip.stream)
            await edge.publish([clip.message(1), clip.message(2)])
        await edge.until_owned(2)
        await asyncio.sleep(0.3)
        settled = [(await edge.registry.get(clip.stream)).decided_sequence for clip in seen]
        assert settled.count(0) >= 1, "room for two"
        assert first.metrics.value("livestar_decoder_owned_streams") == 2
        async with decoder(redis_server.url, memory_address):
            for clip in seen:
                await edge.until_settled(clip.stream, 2)
    for clip in seen:
        assert len(decisions(await edge.events(clip.stream))) == 2
