from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from livestar.api.v1 import events_pb2
from livestar.bus import (
    START,
    Backlog,
    Bus,
    Entry,
    GroupReader,
    GroupSettings,
    InMemoryBus,
    RedisStreams,
    keys,
    traced,
)
from livestar.obs import span

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

IDLE_S = 0.04
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STREAMS = ("a", "b")


@pytest.fixture(params=["memory", "redis"])
def bus(request: pytest.FixtureRequest) -> Bus:
    if request.param == "memory":
        return InMemoryBus()
    return RedisStreams(request.getfixturevalue("redis_link"))


def reader(
    bus: Bus, consumer: str, dead: Counter[str] | None = None, *, max_deliveries: int = 3
) -> GroupReader[events_pb2.FrameCaptured]:
    settings = GroupSettings(
        "vision",
        consumer,
        block_s=0.05,
        min_idle_s=IDLE_S,
        claim_every_s=0,
        max_deliveries=max_deliveries,
    )
    counted: Counter[str] = Counter() if dead is None else dead

    async def count(_: Entry, why: str) -> None:
        counted.update([why])

    return GroupReader(bus, STREAMS, events_pb2.FrameCaptured.FromString, settings, count)


def frame(sequence: int) -> bytes:
    return events_pb2.FrameCaptured(stream_id="door", sequence=sequence).SerializeToString()


async def test_messages_of_all_streams_come_parsed_and_go_when_acknowledged(bus: Bus) -> None:
    one = reader(bus, "one")
    await one.join()
    with span("work", PARENT):
        await bus.publish("a", frame(1), maxlen=9, headers=traced())
    await bus.publish("b", frame(2), maxlen=9, headers=traced())
    deliveries = await one.read()
    assert sorted(delivery.message.sequence for delivery in deliveries) == [1, 2]
    assert {delivery.traceparent for delivery in deliveries} == {PARENT, None}
    await one.ack(*deliveries)
    await asyncio.sleep(2 * IDLE_S)
    assert await one.read() == []
    assert await bus.backlog("a", "vision") == await bus.backlog("b", "vision") == Backlog(0, 0)


async def test_what_a_dead_member_left_comes_before_new_messages(bus: Bus) -> None:
    dead, heir = reader(bus, "dead"), reader(bus, "heir")
    await bus.publish("a", frame(1), maxlen=9)
    assert len(await dead.read()) == 1
    await bus.publish("a", frame(2), maxlen=9)
    await asyncio.sleep(2 * IDLE_S)
    [left, *_] = await heir.read()
    assert (left.message.sequence, left.entry.deliveries) == (1, 2)
    await heir.ack(left)
    [new] = await heir.read()
    assert (new.message.sequence, new.entry.deliveries) == (2, 1)


async def test_what_kills_every_member_is_buried_after_some_deliveries(bus: Bus) -> None:
    counted: Counter[str] = Counter()
    await bus.publish("a", frame(7), maxlen=9)
    deliveries = []
    for attempt in range(5):
        deliveries += await reader(bus, f"m{attempt}", counted, max_deliveries=3).read()
        await asyncio.sleep(2 * IDLE_S)
    assert [delivery.entry.deliveries for delivery in deliveries] == [1, 2, 3]
    assert counted == {"given_up": 1}
    [letter] = await bus.read({keys.dead("vision"): START}, count=9, block_s=0)
    assert letter.payload == frame(7)
    assert letter.headers == {"key": "a", "id": deliveries[0].entry.id, "reason": "given_up"}
    assert await bus.backlog("a", "vision") == Backlog(0, 0)


async def test_what_cannot_be_parsed_is_buried_at_once_and_the_others_go_on(bus: Bus) -> None:
    counted: Counter[str] = Counter()
    for payload in (b"\xff\xff", frame(1), b""):
        await bus.publish("a", payload, maxlen=9)
    [delivery] = await reader(bus, "one", counted).read()
    assert delivery.message.sequence == 1
    assert counted == {"unreadable": 2}
    letters = await bus.read({keys.dead("vision"): START}, count=9, block_s=0)
    assert [letter.payload for letter in letters] == [b"\xff\xff", b""]
    assert await bus.backlog("a", "vision") == Backlog(waiting=0, pending=1)


async def test_leaving_forgets_only_members_that_have_finished(bus: Bus) -> None:
    busy, idle = reader(bus, "busy"), reader(bus, "idle")
    await bus.publish("a", frame(1), maxlen=9)
    deliveries = await busy.read()
    await idle.read()
    for member in (busy, idle):
        await member.leave()
    await asyncio.sleep(2 * IDLE_S)
    assert [d.message for d in await idle.read()] == [d.message for d in deliveries]
