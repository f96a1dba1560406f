"""One conformance suite for every `Bus`."""

from __future__ import annotations

import asyncio

import pytest

from livestar.bus import START, Backlog, Bus, Entry, InMemoryBus, RedisLink, RedisStreams
from livestar.core.errors import AlreadyExists

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

NOW = 0.0
A_WHILE = 0.05


@pytest.fixture(params=["memory", "redis"])
def bus(request: pytest.FixtureRequest) -> Bus:
    if request.param == "memory":
        return InMemoryBus()
    return RedisStreams(request.getfixturevalue("redis_link"))


async def publish(bus: Bus, key: str, *payloads: bytes, maxlen: int = 100) -> list[str]:
    return [await bus.publish(key, payload, maxlen=maxlen) for payload in payloads]


def payloads(entries: list[Entry]) -> list[bytes]:
    return [entry.payload for entry in entries]


async def test_entries_come_in_order_with_growing_ids_and_their_headers(bus: Bus) -> None:
    ids = await publish(bus, "k", b"1", b"\x00\xff", b"")
    await bus.publish("k", b"4", maxlen=100, headers={"traceparent": "00-ab"})
    entries = await bus.read({"k": START}, count=10, block_s=NOW)
    assert payloads(entries) == [b"1", b"\x00\xff", b"", b"4"]
    assert [entry.id for entry in entries[:3]] == ids
    assert len({*ids, entries[3].id}) == 4
    assert entries[3].headers == {"traceparent": "00-ab"}
    assert {(entry.key, entry.deliveries) for entry in entries} == {("k", 1)}


async def test_reading_goes_on_behind_the_cursor_and_takes_no_more_than_count(bus: Bus) -> None:
    ids = await publish(bus, "k", b"1", b"2", b"3")
    assert payloads(await bus.read({"k": START}, count=2, block_s=NOW)) == [b"1", b"2"]
    assert payloads(await bus.read({"k": ids[1]}, count=2, block_s=NOW)) == [b"3"]
    assert await bus.read({"k": ids[2]}, count=2, block_s=NOW) == []


async def test_several_streams_are_read_at_once_and_missing_ones_are_silent(bus: Bus) -> None:
    await publish(bus, "a", b"a1", b"a2")
    await publish(bus, "b", b"b1")
    entries = await bus.read({"a": START, "b": START, "none": START}, count=1, block_s=NOW)
    assert sorted(payloads(entries)) == [b"a1", b"b1"]
    assert await bus.read({}, count=1, block_s=10) == []


async def test_a_waiting_reader_wakes_when_something_comes(bus: Bus) -> None:
    reading = asyncio.create_task(bus.read({"k": START, "other": START}, count=1, block_s=5))
    await asyncio.sleep(A_WHILE)
    await publish(bus, "other", b"news")
    assert payloads(await asyncio.wait_for(reading, 2)) == [b"news"]


async def test_waiting_ends_at_its_deadline(bus: Bus) -> None:
    started = asyncio.get_running_loop().time()
    assert await bus.read({"k": START}, count=1, block_s=0.1) == []
    assert await bus.read_group(["k"], "g", "c", count=1, block_s=0.1) == []
    assert 0.15 <= asyncio.get_running_loop().time() - started < 5


async def test_a_stream_keeps_its_newest_entries_only(bus: Bus) -> None:
    ids = await publish(bus, "k", *(b"%d" % n for n in range(10)), maxlen=3)
    assert payloads(await bus.read({"k": START}, count=10, block_s=NOW)) == [b"7", b"8", b"9"]
    assert await bus.length("k") == 3
    assert await bus.bounds("k") == (ids[7], ids[9])
    assert await bus.trim("k", maxlen=1) == 2
    assert await bus.bounds("k") == (ids[9], ids[9])


async def test_a_stream_that_is_not_there_is_empty(bus: Bus) -> None:
    assert await bus.length("k") == 0
    assert await bus.bounds("k") == (START, START)
    assert await bus.trim("k", maxlen=1) == 0
    assert await bus.backlog("k", "g") == Backlog(0, 0)
    assert await bus.ack("k", "g", "1-0") == 0
    assert await bus.claim_idle("k", "g", "c", min_idle_s=0, count=1) == []
    assert await bus.leave("k", "g", "c") is True
    await bus.delete("k", "k2")


async def test_ids_of_ones_own_are_kept_and_never_go_back(bus: Bus) -> None:
    assert await bus.publish("k", b"1", maxlen=9, entry_id="1-0") == "1-0"
    assert await bus.publish("k", b"3", maxlen=9, entry_id="3-0") == "3-0"
    for old in ("3-0", "2-0"):
        with pytest.raises(AlreadyExists, match="k holds"):
            await bus.publish("k", b"again", maxlen=9, entry_id=old)
    await bus.trim("k", maxlen=0)
    with pytest.raises(AlreadyExists):
        await bus.publish("k", b"again", maxlen=9, entry_id="3-0")
    assert await bus.length("k") == 0


async def test_a_group_hands_out_each_entry_once(bus: Bus) -> None:
    await publish(bus, "k", b"before")
    await bus.join("k", "g")
    await bus.join("k", "g")
    await publish(bus, "k", b"1", b"2", b"3")
    one = await bus.read_group(["k"], "g", "one", count=2, block_s=NOW)
    two = await bus.read_group(["k"], "g", "two", count=5, block_s=NOW)
    assert (payloads(one), payloads(two)) == ([b"before", b"1"], [b"2", b"3"])
    assert await bus.read_group(["k"], "g", "one", count=5, block_s=NOW) == []
    assert payloads(await bus.read_group(["k"], "other", "one", count=5, block_s=NOW)) == [
        b"before",
        b"1",
        b"2",
        b"3",
    ]


async def test_what_is_not_acknowledged_stays_pending(bus: Bus) -> None:
    await bus.join("k", "g")
    await publish(bus, "k", b"1", b"2", b"3")
    assert await bus.backlog("k", "g") == Backlog(waiting=3, pending=0)
    entries = await bus.read_group(["k"], "g", "c", count=2, block_s=NOW)
    assert await bus.backlog("k", "g") == Backlog(waiting=1, pending=2)
    assert await bus.ack("k", "g", entries[0].id, "1-1") == 1
    assert await bus.ack("k", "g", entries[0].id) == 0
    assert await bus.backlog("k", "g") == Backlog(waiting=1, pending=1)


async def test_what_a_dead_member_left_is_claimed_and_counted(bus: Bus) -> None:
    await publish(bus, "k", *(b"%d" % n for n in range(5)))
    await bus.read_group(["k"], "g", "dead", count=5, block_s=NOW)
    assert await bus.claim_idle("k", "g", "heir", min_idle_s=60, count=9) == []
    await asyncio.sleep(A_WHILE)
    claimed = await bus.claim_idle("k", "g", "heir", min_idle_s=A_WHILE / 2, count=3)
    assert payloads(claimed) == [b"0", b"1", b"2"]
    assert {entry.deliveries for entry in claimed} == {2}
    assert await bus.leave("k", "g", "heir") is False
    # What was just claimed is not idle any more, wherever it stands.
    again = await bus.claim_idle("k", "g", "third", min_idle_s=A_WHILE / 2, count=9)
    assert payloads(again) == [b"3", b"4"]
    await asyncio.sleep(A_WHILE)
    assert {
        e.deliveries for e in await bus.claim_idle("k", "g", "third", min_idle_s=A_WHILE / 2, count=9)
    } == {3}
    await bus.ack("k", "g", *(entry.id for entry in claimed + again))
    assert await bus.leave("k", "g", "third") is True


async def test_what_was_trimmed_cannot_be_claimed_and_leaves_the_pending_list(bus: Bus) -> None:
    await publish(bus, "k", b"1", b"2", b"3")
    await bus.read_group(["k"], "g", "dead", count=3, block_s=NOW)
    await bus.trim("k", maxlen=1)
    await asyncio.sleep(0.01)
    assert payloads(await bus.claim_idle("k", "g", "heir", min_idle_s=0, count=9)) == [b"3"]
    assert await bus.backlog("k", "g") == Backlog(waiting=0, pending=1)


async def test_a_group_outlives_the_loss_of_its_stream(bus: Bus) -> None:
    await bus.join("k", "g")
    await bus.delete("k")
    reading = asyncio.create_task(bus.read_group(["k", "l"], "g", "c", count=9, block_s=5))
    await asyncio.sleep(A_WHILE)
    await publish(bus, "k", b"again")
    assert payloads(await asyncio.wait_for(reading, 2)) == [b"again"]


async def test_members_share_the_work_under_load_and_nothing_comes_twice(bus: Bus) -> None:
    await bus.join("k", "g")
    seen: list[bytes] = []

    async def member(name: str) -> None:
        while entries := await bus.read_group(["k"], "g", name, count=7, block_s=0.2):
            seen.extend(payloads(entries))
            await bus.ack("k", "g", *(entry.id for entry in entries))

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(member(name))
        await publish(bus, "k", *(b"%d" % n for n in range(200)), maxlen=1000)
    assert sorted(seen) == sorted(b"%d" % n for n in range(200))
    assert await bus.backlog("k", "g") == Backlog(0, 0)


async def test_a_cancelled_wait_leaves_the_bus_usable(
    bus: Bus,
) -> None:
    reading = asyncio.create_task(bus.read({"k": START}, count=1, block_s=5))
    await asyncio.sleep(A_WHILE)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await publish(bus, "k", b"1")
    assert payloads(await bus.read({"k": START}, count=9, block_s=NOW)) == [b"1"]


async def test_lag_is_counted_where_redis_does_not_know_it(redis_link: RedisLink) -> None:
    bus = RedisStreams(redis_link)
    await bus.join("k", "g")
    ids = await publish(bus, "k", b"1", b"2", b"3", b"4")
    await redis_link.execute("XDEL", "k", ids[2])
    await bus.read_group(["k"], "g", "c", count=1, block_s=NOW)
    assert await bus.backlog("k", "g") == Backlog(waiting=2, pending=1)


async def test_what_is_removed_is_gone_for_everybody(bus: Bus) -> None:
    await bus.join("k", "g")
    ids = await publish(bus, "k", b"1", b"2", b"3")
    await bus.read_group(["k"], "g", "c", count=2, block_s=NOW)
    await bus.ack("k", "g", ids[0])
    assert await bus.remove("k", ids[0], "1-1") == 1
    assert await bus.remove("k", ids[0]) == 0
    assert await bus.remove("none", ids[0]) == 0
    assert payloads(await bus.read({"k": START}, count=9, block_s=NOW)) == [b"2", b"3"]
    assert await bus.backlog("k", "g") == Backlog(waiting=1, pending=1)


async def test_what_is_held_is_not_idle(bus: Bus) -> None:
    ids = await publish(bus, "k", b"1", b"2")
    await bus.hold("k", "none", "c", ids[0])
    await bus.read_group(["k"], "g", "c", count=2, block_s=NOW)
    await asyncio.sleep(A_WHILE)
    await bus.hold("k", "g", "c", ids[0], "1-1")
    await bus.hold("k", "g", "c")
    claimed = await bus.claim_idle("k", "g", "heir", min_idle_s=A_WHILE / 2, count=9)
    assert [(entry.payload, entry.deliveries) for entry in claimed] == [(b"2", 2)]
    await asyncio.sleep(A_WHILE)
    claimed = await bus.claim_idle("k", "g", "heir", min_idle_s=A_WHILE / 2, count=1)
    assert [(entry.payload, entry.deliveries) for entry in claimed] == [(b"1", 2)], (
        "holding counts no delivery"
    )
    await bus.ack("k", "g", ids[0])
    await bus.hold("k", "g", "c", ids[0])
    assert (await bus.backlog("k", "g")).pending == 1, "what is done is not taken again"
