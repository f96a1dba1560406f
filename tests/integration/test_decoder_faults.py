"""Streams that fail, are deleted, never end or come back damaged: each says so, and the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import torch

from fakes.decoding import Edge, Seen, decisions, decoder, memory_stub, same, until
from fakes.nano import Nano
from livestar.api.v1 import common_pb2, events_pb2, memory_pb2
from livestar.bus import EmbeddedRedis, keys
from livestar.core.ids import StreamId
from livestar.engine.branch_decoding import BranchDecoding
from livestar.wire.tensors import tensor_proto

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

ENDED, FAILED = common_pb2.STREAM_STATE_ENDED, common_pb2.STREAM_STATE_FAILED


@pytest.fixture
def seen(nano: Nano) -> Seen:
    return nano.seen("clip", family=0, num_frames=12)


@pytest.fixture
def cursed(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a stream whose third frame breaks its decoding."""
    watch = BranchDecoding.watch

    def breaking(self, frame):
        if self.state.id == "cursed" and frame.number == 3:
            raise RuntimeError("a secret of the inside")
        yield from watch(self, frame)

    monkeypatch.setattr(BranchDecoding, "watch", breaking)
    return "cursed"


async def test_a_stream_that_breaks_the_engine_ends_and_the_others_go_on(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano, seen: Seen, cursed: str
):
    other = Seen(StreamId(cursed), seen.model_id, seen.tokens)
    async with decoder(redis_server.url, memory_address):
        for clip in (seen, other):
            await edge.create(clip.stream)
            await edge.publish([*(clip.message(n) for n in range(1, 13)), clip.end(13)])
        await edge.until_state(cursed, FAILED)
        await edge.until_state("clip", ENDED)
    same(await edge.events("clip"), nano.watch(seen))
    events = await edge.events(cursed)
    assert [frame for frame, _ in decisions(events)] == [1, 2]
    assert events[-2].failure.reason == "LiveStarError"
    assert "secret" not in events[-2].failure.message
    assert events[-1].state_changed.state == FAILED
    assert (await edge.registry.get(StreamId(cursed))).reason == events[-2].failure.message


async def test_a_source_that_failed_is_told_with_its_error(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano, seen: Seen
):
    end = seen.end(4, events_pb2.END_REASON_FAILED)
    end.end.error.reason, end.end.error.message = "BadVideo", "the camera hung up: start it again"
    async with decoder(redis_server.url, memory_address):
        await edge.create("clip")
        await edge.publish([*(seen.message(n) for n in range(1, 4)), end])
        await edge.until_state("clip", FAILED)
    events = await edge.events("clip")
    assert [frame for frame, _ in decisions(events)] == [1, 2, 3]
    assert events[-2].failure == end.end.error
    assert (await edge.registry.get(StreamId("clip"))).reason == "the camera hung up: start it again"


async def test_a_stream_that_is_deleted_leaves_nothing(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, seen: Seen
):
    async with decoder(redis_server.url, memory_address) as process, memory_stub(memory_address) as stub:
        await edge.create("clip")
        await edge.publish(seen.message(n) for n in range(1, 13))
        await edge.until_settled("clip", 2)
        await edge.registry.delete(StreamId("clip"))
        await stub.ForgetStream(memory_pb2.ForgetStreamRequest(stream_id="clip"))
        await until(lambda: deleted(process), "the decoder has let go")
        assert await edge.link.execute("KEYS", "*{clip}*") == []


async def deleted(process) -> bool:
    return process.metrics.value("livestar_decoder_streams_closed_total", why="deleted") == 1


async def test_a_stopped_stream_whose_end_never_comes_is_closed(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, seen: Seen
):
    async with decoder(redis_server.url, memory_address, end_s=0.4):
        await edge.create("clip")
        await edge.publish([seen.message(1)])
        await edge.until_settled("clip", 1)
        await asyncio.sleep(0.6)
        assert (await edge.registry.get(StreamId("clip"))).state == common_pb2.STREAM_STATE_RUNNING
        await edge.registry.stop(StreamId("clip"))
        await edge.until_state("clip", common_pb2.STREAM_STATE_STOPPED)
    states = [e.state_changed.state for e in await edge.events("clip") if e.HasField("state_changed")]
    assert states == [
        common_pb2.STREAM_STATE_RUNNING,
        common_pb2.STREAM_STATE_STOPPING,
        common_pb2.STREAM_STATE_STOPPED,
    ]


@pytest.mark.parametrize(
    "tokens",
    [torch.zeros(16, 8), torch.zeros(3, 384), torch.full((16, 384), torch.nan)],
    ids=["width", "number", "nan"],
)
async def test_visual_tokens_that_fit_no_network_are_unreadable(
    redis_server: EmbeddedRedis,
    memory_address: str,
    edge: Edge,
    nano: Nano,
    seen: Seen,
    tokens: torch.Tensor,
):
    async with decoder(redis_server.url, memory_address):
        await edge.create("clip")
        bad = seen.message(2, tokens=tensor_proto(tokens))
        lying = seen.message(3)
        lying.tokens.shape[0] = 15
        await edge.publish(
            [seen.message(1), bad, lying, *(seen.message(n) for n in range(4, 13)), seen.end(13)]
        )
        await edge.until_state("clip", ENDED)
    events = await edge.events("clip")
    same(events, nano.watch(seen, without=[2, 3]))
    gaps = [event.frames_missing for event in events if event.HasField("frames_missing")]
    assert [(gap.first_sequence, gap.last_sequence, gap.reason) for gap in gaps] == [
        (2, 2, events_pb2.GAP_REASON_UNREADABLE),
        (3, 3, events_pb2.GAP_REASON_UNREADABLE),
    ]


@pytest.mark.parametrize("part", ["visual tokens", "segment", "garbage"])
async def test_a_memory_that_is_damaged_is_told_and_watching_begins_anew_behind_it(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano, seen: Seen, part: str
):
    stream = StreamId("clip")
    await edge.create("clip")
    async with decoder(redis_server.url, memory_address):
        await edge.publish(seen.message(n) for n in range(1, 7))
        await edge.until_settled("clip", 6)
    match part:
        case "visual tokens":
            await edge.link.execute("HDEL", keys.kept(stream), "5")
        case "segment":
            await edge.link.execute("HDEL", keys.ledger(stream), "s:1")
        case "garbage":
            await edge.link.execute("HSET", keys.ledger(stream), "s:4", b"\xff\xff\xff")
    async with decoder(redis_server.url, memory_address):
        await edge.publish([*(seen.message(n) for n in range(7, 13)), seen.end(13)])
        await edge.until_state("clip", ENDED)
    events = await edge.events("clip")
    [failure] = [event.failure for event in events if event.HasField("failure")]
    assert "cannot be restored" in failure.message
    same([e for e in events if e.frame_sequence > 6], nano.watch(seen, without=range(1, 7)))
    assert [frame for frame, _ in decisions(events)] == list(range(1, 13))


async def test_a_final_state_that_an_owner_could_not_tell_the_registry_is_told_by_the_next(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, seen: Seen
):
    """As if the owner had died between its last commit and the registry."""
    await edge.create("clip")
    async with decoder(redis_server.url, memory_address):
        await edge.publish(seen.message(n) for n in range(1, 4))
        await edge.until_settled("clip", 3)
    async with memory_stub(memory_address) as stub:
        parts = [p async for p in stub.Load(memory_pb2.LoadRequest(stream_id="clip", epoch=50))]
        head = parts[0].head
        head.epoch, head.batch, head.decided_sequence = 50, 1, 4
        await stub.Commit(memory_pb2.CommitRequest(stream_id="clip", head=head))
    await edge.link.execute("SET", keys.epochs(), 50)
    await edge.publish([seen.end(4)])
    async with decoder(redis_server.url, memory_address):
        await edge.until_state("clip", ENDED)
    assert (await edge.events("clip"))[-1].state_changed.state == ENDED
    assert await edge.bus.length(keys.tokens(StreamId("clip"))) == 0
