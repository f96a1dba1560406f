"""One conformance suite for every `Leases`, and the keeper over both."""

from __future__ import annotations

import asyncio

import pytest

from livestar.bus import InMemoryLeases, Lease, LeaseKeeper, Leases, RedisLeases, Role
from livestar.core.errors import LeaseLost, Unavailable
from livestar.core.ids import StreamId

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

DOOR = StreamId("door")
LONG = 60.0
SHORT = 0.05


@pytest.fixture(params=["memory", "redis"])
def leases(request: pytest.FixtureRequest) -> Leases:
    if request.param == "memory":
        return InMemoryLeases()
    return RedisLeases(request.getfixturevalue("redis_link"))


async def take(
    leases: Leases, owner: str, *, role: Role = Role.DECODER, stream: StreamId = DOOR, ttl_s: float = LONG
) -> Lease | None:
    return await leases.acquire(role, stream, owner=owner, address=f"{owner}:1", ttl_s=ttl_s)


async def taken(leases: Leases, owner: str, *, ttl_s: float = LONG) -> Lease:
    lease = await take(leases, owner, ttl_s=ttl_s)
    assert lease is not None
    return lease


async def test_one_owner_at_a_time_by_role_and_stream(leases: Leases) -> None:
    lease = await taken(leases, "a")
    assert await take(leases, "b") is None
    assert await take(leases, "b", role=Role.INGEST) is not None
    assert await take(leases, "b", stream=StreamId("yard")) is not None
    held = await leases.inspect(Role.DECODER, DOOR)
    assert held is not None
    assert (held.owner, held.address, held.epoch) == ("a", "a:1", lease.epoch)
    assert LONG - 5 < held.left_s <= LONG


async def test_taking_ones_own_lease_again_keeps_its_epoch_and_renews_it(leases: Leases) -> None:
    first = await taken(leases, "a", ttl_s=1.0)
    again = await taken(leases, "a")
    assert again.epoch == first.epoch
    held = await leases.inspect(Role.DECODER, DOOR)
    assert held is not None
    assert held.left_s > 2


async def test_epochs_grow_over_owners_and_deletions(leases: Leases) -> None:
    first = await taken(leases, "a")
    assert first.epoch >= 1
    assert await leases.release(first)
    second = await taken(leases, "b")
    assert await leases.expire(Role.DECODER, DOOR)
    third = await taken(leases, "a")
    assert first.epoch < second.epoch < third.epoch


async def test_an_expired_lease_can_be_taken_and_the_old_owner_is_refused(leases: Leases) -> None:
    old = await taken(leases, "a", ttl_s=SHORT)
    await asyncio.sleep(2 * SHORT)
    assert await leases.inspect(Role.DECODER, DOOR) is None
    new = await taken(leases, "b")
    with pytest.raises(LeaseLost, match="decoder lease of stream 'door'"):
        await leases.renew(old, ttl_s=LONG)
    assert await leases.release(old) is False
    assert (await leases.renew(new, ttl_s=LONG)).epoch == new.epoch


async def test_renewing_what_nobody_holds_is_refused(leases: Leases) -> None:
    lease = await taken(leases, "a")
    assert await leases.expire(Role.DECODER, DOOR) is True
    assert await leases.expire(Role.DECODER, DOOR) is False
    with pytest.raises(LeaseLost):
        await leases.renew(lease, ttl_s=LONG)


async def test_many_who_want_it_at_once_get_one_owner(leases: Leases) -> None:
    tries = await asyncio.gather(*(take(leases, f"p{n}") for n in range(20)))
    assert len([lease for lease in tries if lease]) == 1


async def test_a_keeper_holds_far_longer_than_one_lease_and_gives_it_up_at_the_end(leases: Leases) -> None:
    ttl_s = 0.3
    keeper = await LeaseKeeper.take(leases, Role.INGEST, DOOR, owner="a", address="a:1", ttl_s=ttl_s)
    assert keeper is not None
    async with keeper:
        assert await LeaseKeeper.take(leases, Role.INGEST, DOOR, owner="b", address="", ttl_s=1) is None
        await asyncio.sleep(2 * ttl_s)
        keeper.check()
        assert await take(leases, "b", role=Role.INGEST) is None
    assert await take(leases, "b", role=Role.INGEST) is not None


async def test_a_keeper_says_when_somebody_took_the_lease_away(leases: Leases) -> None:
    keeper = await LeaseKeeper.take(leases, Role.INGEST, DOOR, owner="a", address="a:1", ttl_s=0.3)
    assert keeper is not None
    async with keeper:
        await leases.expire(Role.INGEST, DOOR)
        thief = await take(leases, "b", role=Role.INGEST)
        await asyncio.wait_for(keeper.lost.wait(), 2)
        assert not keeper.holds
        with pytest.raises(LeaseLost):
            keeper.check()
    held = await leases.inspect(Role.INGEST, DOOR)
    assert thief is not None
    assert held is not None
    assert held.epoch == thief.epoch, "the old owner's end does not touch the new one's lease"


class _Away(InMemoryLeases):
    away = False

    async def renew(self, lease: Lease, *, ttl_s: float) -> Lease:
        if self.away:
            raise Unavailable("Redis is away: start it")
        return await super().renew(lease, ttl_s=ttl_s)


async def test_a_keeper_bears_a_short_absence_of_redis_but_not_a_long_one() -> None:
    leases = _Away()
    keeper = await LeaseKeeper.take(leases, Role.INGEST, DOOR, owner="a", address="a:1", ttl_s=0.4)
    assert keeper is not None
    async with keeper:
        leases.away = True
        await asyncio.sleep(0.2)
        leases.away = False
        await asyncio.sleep(0.35)
        keeper.check()
        leases.away = True
        await asyncio.wait_for(keeper.lost.wait(), 2)


async def test_the_clock_tells_when_the_loop_was_held_up() -> None:
    keeper = await LeaseKeeper.take(
        InMemoryLeases(), Role.INGEST, DOOR, owner="a", address="a:1", ttl_s=SHORT
    )
    assert keeper is not None
    # Never entered, so no timer of the loop could have set `lost`.
    await asyncio.sleep(2 * SHORT)
    assert not keeper.lost.is_set()
    with pytest.raises(LeaseLost):
        keeper.check()
