"""One read, many queues: order, gaps and those who do not keep up."""

from __future__ import annotations

import asyncio

import pytest
from services.gateway.fanout.feed import Feed
from services.gateway.fanout.subscriber import Subscriber
from services.gateway.fanout.told import Told

from livestar.api.v1 import common_pb2, events_pb2
from livestar.bus import Entry
from livestar.core.errors import CapacityExceeded, NotFound
from livestar.core.ids import StreamId

pytestmark = [pytest.mark.unit, pytest.mark.anyio]

DOOR = StreamId("door")
INFO = common_pb2.StreamInfo(spec=common_pb2.StreamSpec(stream_id=DOOR), created_at_ns=1)


def piece(sequence: int) -> Told:
    text = events_pb2.TextPiece(channel="narration", text="x")
    return Told(events_pb2.StreamEvent(stream_id=DOOR, sequence=sequence, text_piece=text))


def decision(sequence: int, action: events_pb2.Action.ValueType = events_pb2.ACTION_SPEAK) -> Told:
    decided = events_pb2.Decision(channel="narration", action=action, text="A car.")
    return Told(events_pb2.StreamEvent(stream_id=DOOR, sequence=sequence, decision=decided))


def ended(sequence: int) -> Told:
    change = events_pb2.StateChanged(state=common_pb2.STREAM_STATE_ENDED)
    return Told(events_pb2.StreamEvent(stream_id=DOOR, sequence=sequence, state_changed=change))


def feed(floor: int = 0, kept: int = 100) -> Feed:
    return Feed(INFO, floor=floor, kept=kept, now_s=0.0)


def subscriber(max_queue: int = 100, *, speech_only: bool = False) -> Subscriber:
    return Subscriber(max_queue=max_queue, speech_only=speech_only)


async def queued(listener: Subscriber) -> list[Told]:
    found = []
    while (told := await listener.next(0.01)) is not None:
        found.append(told)
    return found


async def test_each_subscriber_gets_each_event_once_in_order() -> None:
    following = feed()
    listeners = [subscriber() for _ in range(3)]
    for listener in listeners:
        following.join(listener)
    events = [piece(n) for n in (1, 2, 3)]
    for told in [events[0], events[0], events[1], events[0], events[2]]:
        following.take(told, 0.0)
    assert [await queued(listener) for listener in listeners] == [events] * 3
    assert following.newest == 3


async def test_an_event_is_encoded_once_for_all() -> None:
    told = decision(7)
    assert told.sse is told.sse
    assert told.json is told.json
    assert told.sse.startswith(b'id: 7\nevent: decision\ndata: {"stream_id": "door", "sequence": "7"')
    assert told.sse.endswith(b"\n\n")


async def test_a_hole_is_told_before_what_follows() -> None:
    following, listener = feed(), subscriber()
    following.join(listener)
    following.take(piece(1), 0.0)
    gaps, behind = following.take(piece(5), 0.0)
    first, gap, after = await queued(listener)
    assert (gaps, behind) == (1, 0)
    assert (first.sequence, gap.kind, after.sequence) == (1, "gap", 5)
    assert gap.event.events_missed == events_pb2.EventsMissed(after_sequence=1, oldest_sequence=5)
    assert following.since(1) is None
    assert [told.sequence for told in following.since(4) or ()] == [5]


async def test_only_the_newest_events_are_held() -> None:
    following = feed(kept=3)
    for n in range(1, 8):
        following.take(piece(n), 0.0)
    assert following.floor == 4
    assert following.since(3) is None
    assert [told.sequence for told in following.since(4) or ()] == [5, 6, 7]
    assert following.since(7) == []


async def test_who_does_not_keep_up_is_left_behind_and_the_others_are_not() -> None:
    following, slow, quick = feed(), subscriber(max_queue=2), subscriber()
    following.join(slow)
    following.join(quick)
    left = [following.take(piece(n), 0.0)[1] for n in (1, 2, 3, 4)]
    assert left == [0, 0, 1, 0]
    assert following.num_subscribers == 1
    assert [(await slow.next(1.0)).sequence for _ in range(2)] == [1, 2]  # type: ignore[union-attr]
    with pytest.raises(CapacityExceeded, match="resume behind"):
        await slow.next(1.0)
    assert len(await queued(quick)) == 4


async def test_speech_only_leaves_out_chatter_and_does_not_wait_for_room() -> None:
    following, listener = feed(), subscriber(max_queue=2, speech_only=True)
    following.join(listener)
    silent = events_pb2.ACTION_SILENT
    for n in range(1, 20):
        following.take(piece(n) if n % 2 else decision(n, silent), 0.0)
    following.take(decision(20), 0.0)
    assert [told.sequence for told in await queued(listener)] == [20]


async def test_the_end_of_a_stream_ends_its_subscribers_after_what_they_have_not_heard() -> None:
    following, listener = feed(), subscriber()
    following.join(listener)
    following.take(piece(1), 0.0)
    following.take(ended(2), 0.0)
    assert [(await listener.next(1.0)).sequence for _ in range(2)] == [1, 2]  # type: ignore[union-attr]
    with pytest.raises(StopAsyncIteration):
        await listener.next(1.0)
    late = subscriber()
    following.join(late)
    assert late.over


async def test_an_error_reaches_a_waiting_subscriber_at_once() -> None:
    following, listener = feed(), subscriber()
    following.join(listener)
    waiting = asyncio.create_task(listener.next(60))
    await asyncio.sleep(0.01)
    following.end(NotFound("stream 'door' was deleted"))
    with pytest.raises(NotFound, match="deleted"):
        await asyncio.wait_for(waiting, 1)


@pytest.mark.parametrize("payload", [b"\xff\xff", b"", decision(3).event.SerializeToString()])
def test_an_entry_that_is_no_event_of_its_number_is_none(payload: bytes) -> None:
    assert Told.of(Entry("events:{door}", "2-0", payload)) is None
    assert Told.unreadable(DOOR, 2).sequence == 2


def test_text_from_outside_cannot_forge_events() -> None:
    text = 'A sign says\n\nid: 99\nevent: state_changed\ndata: {"x": 1}\r\n\r\n\u2028</script>\x00'
    decided = events_pb2.Decision(channel="narration", text=text)
    told = Told(events_pb2.StreamEvent(stream_id=DOOR, sequence=1, decision=decided))
    lines = told.sse.split(b"\n")
    assert [line.split(b":")[0] for line in lines] == [b"id", b"event", b"data", b"", b""]
    assert told.sse.isascii()
    assert b"\r" not in told.sse
