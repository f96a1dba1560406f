"""A member of a group: what others left, what nobody can handle, what is done."""

from __future__ import annotations

import asyncio

import pytest

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
)

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

IDLE_S = 0.03


@pytest.fixture(params=["memory", "redis"])
def bus(request: pytest.FixtureRequest) -> Bus:
    if request.param == "memory":
        return InMemoryBus()
    return RedisStreams(request.getfixturevalue("redis_link"))


def member(bus: Bus, name: str, dead: list[tuple[bytes, str]], **changes: float) -> GroupReader[int]:
    async def on_dead(entry: Entry, reason: str) -> None:
        dead.append((entry.payload, reason))

    settings = GroupSettings("g", name, block_s=0.05, min_idle_s=IDLE_S, claim_every_s=0, **changes)  # type: ignore[arg-type]
    return GroupReader(bus, ["k"], int, settings, on_dead)


async def numbers(reader: GroupReader[int]) -> list[int]:
    return [delivery.message for delivery in await reader.read()]


async def test_what_is_acknowledged_leaves_the_stream(bus: Bus) -> None:
    reader = member(bus, "c", [], remove_acked=True)
    for number in (1, 2, 3):
        await bus.publish("k", b"%d" % number, maxlen=9)
    first, *_ = await reader.read()
    await reader.ack(first)
    assert [entry.payload for entry in await bus.read({"k": START}, count=9, block_s=0)] == [b"2", b"3"]
    assert await bus.backlog("k", "g") == Backlog(waiting=0, pending=2)


async def test_what_a_dead_member_left_is_taken_over_one_at_a_time(bus: Bus) -> None:
    for number in (1, 2, 3):
        await bus.publish("k", b"%d" % number, maxlen=9)
    assert await numbers(member(bus, "dead", [])) == [1, 2, 3]
    await asyncio.sleep(2 * IDLE_S)
    heir = member(bus, "heir", [], claim_count=1)
    assert [await numbers(heir) for _ in range(4)] == [[1], [2], [3], []]


async def test_what_kills_every_member_is_given_up_and_told(bus: Bus) -> None:
    dead: list[tuple[bytes, str]] = []
    await bus.publish("k", b"13", maxlen=9)
    for life in range(3):
        assert await numbers(member(bus, f"m{life}", dead, max_deliveries=3)) == [13]
        await asyncio.sleep(2 * IDLE_S)
    assert await numbers(member(bus, "last", dead, max_deliveries=3)) == []
    assert dead == [(b"13", "given_up")]
    (letter,) = await bus.read({keys.dead("g"): START}, count=9, block_s=0)
    assert (letter.payload, letter.headers["reason"], letter.headers["key"]) == (b"13", "given_up", "k")
    assert await bus.backlog("k", "g") == Backlog(0, 0)


async def test_what_is_no_message_is_told_and_does_not_hold_up_the_rest(bus: Bus) -> None:
    dead: list[tuple[bytes, str]] = []
    for payload in (b"1", b"nonsense", b"", b"2"):
        await bus.publish("k", payload, maxlen=9)
    assert await numbers(member(bus, "c", dead)) == [1, 2]
    assert dead == [(b"nonsense", "unreadable"), (b"", "unreadable")]


async def test_a_dead_letter_that_could_not_be_told_comes_again(bus: Bus) -> None:
    async def away(entry: Entry, reason: str) -> None:
        raise RuntimeError("not now")

    await bus.publish("k", b"nonsense", maxlen=9)
    settings = GroupSettings("g", "c", block_s=0.05, min_idle_s=IDLE_S, claim_every_s=0)
    with pytest.raises(RuntimeError):
        await GroupReader(bus, ["k"], int, settings, away).read()
    assert await bus.backlog("k", "g") == Backlog(waiting=0, pending=1)
    await asyncio.sleep(2 * IDLE_S)
    dead: list[tuple[bytes, str]] = []
    await member(bus, "c", dead).read()
    assert dead == [(b"nonsense", "unreadable")]
