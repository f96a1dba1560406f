"""Questions, standing questions, probes, cancelling and looking, over gRPC."""

from __future__ import annotations

import asyncio

import pytest

from fakes.decoding import Edge, decisions, decoder, same, stub, until
from fakes.nano import Nano
from livestar.api.v1 import common_pb2, decoder_pb2, events_pb2
from livestar.bus import EmbeddedRedis
from livestar.core.errors import CapacityExceeded, InvalidInput, LiveStarError, NotFound, NotOwner
from livestar.rpc import answers

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

QUESTION = "What colour is the traffic light?"
STORY = "What happened just now?"


def asked(text: str = QUESTION, **fields: str) -> decoder_pb2.AskRequest:
    return decoder_pb2.AskRequest(stream_id="clip", text=text, **fields)


def bodies(events: list[events_pb2.StreamEvent], kind: str) -> list:
    return [getattr(event, kind) for event in events if event.HasField(kind)]


async def test_an_answer_comes_in_pieces_is_told_to_all_and_changes_no_decision(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano
):
    seen = nano.seen("clip", family=0, num_frames=12)
    async with decoder(redis_server.url, memory_address) as process, stub(process.grpc_address) as calls:
        await edge.create("clip")
        await edge.publish(seen.message(n) for n in range(1, 6))
        await edge.until_settled("clip", 5)
        responses = [response async for response in calls.Ask(asked(STORY, chain="mine"))]
        await edge.publish([*(seen.message(n) for n in range(6, 13)), seen.end(13)])
        await edge.until_state("clip", common_pb2.STREAM_STATE_ENDED)
    first, *pieces, last = responses
    assert (first.asked.question_id, first.asked.text, first.asked.chain) == (1, STORY, "mine")
    assert len(pieces) > 1
    assert "".join(response.piece for response in pieces).strip() == last.answer.text != ""
    assert {(r.frame_sequence, r.pts_ns) for r in responses} == {(5, 4_000_000_000)}
    events = await edge.events("clip")
    same(events, nano.watch(seen))
    assert bodies(events, "question") == [first.asked]
    assert bodies(events, "answer") == [last.answer]
    told = [event.text_piece.text for event in events if event.text_piece.question_id == 1]
    assert told == [response.piece for response in pieces]


async def test_hanging_up_cancels_the_question(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano
):
    seen = nano.seen("clip", family=0, num_frames=12)
    async with decoder(redis_server.url, memory_address) as process, stub(process.grpc_address) as calls:
        await edge.create("clip")
        await edge.until_owned(1)
        # Before the first frame it waits: nothing can be answered yet.
        async with answers(calls.Ask(asked())) as responses:
            async for response in responses:
                assert response.asked.question_id == 1
                break
        await until(lambda: answered(edge), "the question has a last word")
        await edge.publish([seen.message(1), seen.end(2)])
        await edge.until_state("clip", common_pb2.STREAM_STATE_ENDED)
    [answer] = bodies(await edge.events("clip"), "answer")
    assert answer.ending == events_pb2.ENDING_CANCELLED


async def answered(edge: Edge) -> bool:
    return bool(bodies(await edge.events("clip"), "answer"))


async def test_a_question_is_cancelled_by_its_id(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano
):
    async with decoder(redis_server.url, memory_address) as process, stub(process.grpc_address) as calls:
        await edge.create("clip")
        await edge.until_owned(1)
        received = []
        async for response in calls.Ask(asked()):
            received.append(response)
            if response.HasField("asked"):
                await calls.Cancel(decoder_pb2.CancelRequest(stream_id="clip", question_id=1))
        assert received[-1].answer.ending == events_pb2.ENDING_CANCELLED
        with pytest.raises(NotFound):
            await calls.Cancel(decoder_pb2.CancelRequest(stream_id="clip", question_id=1))
        await calls.Cancel(decoder_pb2.CancelRequest(stream_id="clip", channel="narration"))


async def test_a_standing_question_is_open_when_it_is_written_and_answers_when_its_answer_changes(
    redis_server: EmbeddedRedis, memory_address: str, edge: Edge, nano: Nano
):
    seen = nano.seen("clip", family=0, num_frames=12)
    async with decoder(redis_server.url, memory_address) as process, stub(process.grpc_address) as calls:
        await edge.create("clip")
        await edge.publish(seen.message(n) for n in range(1, 4))
        await edge.until_settled("clip", 3)
        gate = common_pb2.GateSettings(alpha=2.0)
        channel = common_pb2.ChannelSpec(text=QUESTION, gate=gate)
        opened = await calls.Stand(decoder_pb2.StandRequest(stream_id="clip", channel=channel))
        probe = common_pb2.ChannelSpec(
            channel="red", kind=common_pb2.CHANNEL_KIND_PROBE, text="The light shows red."
        )
        await calls.Stand(decoder_pb2.StandRequest(stream_id="clip", channel=probe))
        changed = bodies(await edge.events("clip"), "channel_changed")
        assert [(c.channel, c.open, c.text) for c in changed] == [
            (opened.channel, True, QUESTION),
            ("red", True, probe.text),
        ]
        await edge.publish(seen.message(n) for n in range(4, 8))
        await edge.until_settled("clip", 7)
        view = await calls.InspectStream(decoder_pb2.InspectStreamRequest(stream_id="clip"))
        await calls.RemoveChannel(decoder_pb2.RemoveChannelRequest(stream_id="clip", channel=opened.channel))
        await edge.publish([*(seen.message(n) for n in range(8, 13)), seen.end(13)])
        await edge.until_state("clip", common_pb2.STREAM_STATE_ENDED)
    events = await edge.events("clip")
    found = decisions(events)
    same([e for e in events if e.decision.channel in ("", "narration")], nano.watch(seen))
    frames = [frame for frame, decision in found if decision.channel == opened.channel]
    assert frames == [3, 4, 5, 6, 7], "its first answer is about what had been seen"
    assert [frame for frame, decision in found if decision.channel == "red"] == list(range(4, 13))
    last = bodies(events, "channel_changed")[-1]
    assert (last.channel, last.open, last.text) == (opened.channel, False, QUESTION)
    names = [(c.channel, c.kind, c.alpha) for c in view.channels]
    assert names == [
        ("narration", common_pb2.CHANNEL_KIND_NARRATION, nano.settings().gate.alpha),
        (opened.channel, common_pb2.CHANNEL_KIND_STANDING, 2.0),
        ("red", common_pb2.CHANNEL_KIND_PROBE, nano.settings().gate.alpha),
    ]
    assert view.channels[1].held_text
    assert (view.decided_sequence, view.num_kept_frames, view.clip) == (7, 7, view.clip)
    assert 7 * 20 < view.num_trunk_tokens <= view.max_trunk_tokens == 1400
    assert view.num_pages >= view.num_trunk_tokens // 16
    assert view.epoch >= 1
    assert 0 < view.behind_s < 60


@pytest.mark.parametrize(
    ("request_of", "error"),
    [
        (lambda: asked(text="  "), InvalidInput),
        (lambda: asked(text="x" * 4097), InvalidInput),
        (lambda: asked(chain="x" * 65), InvalidInput),
        (lambda: asked(text="word " * 600), InvalidInput),
        (lambda: decoder_pb2.AskRequest(stream_id="elsewhere", text="What?"), NotOwner),
        (lambda: decoder_pb2.AskRequest(stream_id="../etc", text="What?"), InvalidInput),
        (lambda: decoder_pb2.CancelRequest(stream_id="clip"), InvalidInput),
        (lambda: decoder_pb2.CancelRequest(stream_id="clip", channel="none"), NotFound),
        (lambda: decoder_pb2.RemoveChannelRequest(stream_id="clip", channel="narration"), InvalidInput),
        (lambda: decoder_pb2.RemoveChannelRequest(stream_id="clip", channel="none"), NotFound),
        (lambda: decoder_pb2.StandRequest(stream_id="clip"), InvalidInput),
        (lambda: standing("narration"), InvalidInput),
        (lambda: standing("twice"), InvalidInput),
        (lambda: decoder_pb2.ReleaseStreamRequest(stream_id="elsewhere"), NotOwner),
        (lambda: decoder_pb2.InspectStreamRequest(stream_id="elsewhere"), NotOwner),
    ],
)
async def test_what_cannot_be_is_refused_by_its_class(calls, request_of, error: type[LiveStarError]):
    request = request_of()
    call = getattr(calls, type(request).__name__.removesuffix("Request"))(request)
    with pytest.raises(error):
        await (anext(aiter(call)) if isinstance(request, decoder_pb2.AskRequest) else call)


async def test_more_questions_than_may_be_open_are_refused_and_the_others_wait(calls):
    waiting = [asyncio.create_task(first_of(calls, f"Question {n}?")) for n in range(4)]
    taken = await asyncio.gather(*waiting)
    assert sorted(response.asked.question_id for response, _ in taken) == [1, 2, 3, 4]
    with pytest.raises(CapacityExceeded):
        await first_of(calls, "One more?")
    for _, call in taken:
        call.cancel()


async def first_of(calls, text: str):
    call = calls.Ask(asked(text))
    return await anext(aiter(call)), call


def standing(name: str) -> decoder_pb2.StandRequest:
    channel = common_pb2.ChannelSpec(channel=name, text=QUESTION)
    return decoder_pb2.StandRequest(stream_id="clip", channel=channel)


@pytest.fixture
async def calls(redis_server: EmbeddedRedis, memory_address: str, edge: Edge):
    """A decoder that owns a stream without frames, with a standing question named 'twice'."""
    async with decoder(redis_server.url, memory_address) as process, stub(process.grpc_address) as found:
        channel = common_pb2.ChannelSpec(channel="twice", text=QUESTION)
        await edge.create("clip", settings=common_pb2.WatchSettings(channels=[channel]))
        await edge.until_owned(1)
        yield found
