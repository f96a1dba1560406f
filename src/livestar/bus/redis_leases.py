"""Leases on Redis: each step is one script, so it happens or it does not."""

from __future__ import annotations

from dataclasses import replace

from livestar.bus import keys
from livestar.bus.lease import Lease, Role, lost
from livestar.bus.redis_link import RedisLink
from livestar.core.ids import StreamId


class RedisLeases:
    """A `Leases`. The link is shared; whoever made it closes it."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def acquire(
        self, role: Role, stream: StreamId, *, owner: str, address: str, ttl_s: float
    ) -> Lease | None:
        """See `Leases.acquire`."""
        epoch = await self._link.script(
            _ACQUIRE, [keys.lease(role, stream), keys.epochs()], [owner, address, _ms(ttl_s)]
        )
        return Lease(role, stream, owner, address, int(epoch), ttl_s) if epoch else None

    async def renew(self, lease: Lease, *, ttl_s: float) -> Lease:
        """See `Leases.renew`."""
        key = keys.lease(lease.role, lease.stream)
        if not await self._link.script(_RENEW, [key], [lease.epoch, _ms(ttl_s)]):
            raise lost(lease)
        return replace(lease, left_s=ttl_s)

    async def release(self, lease: Lease) -> bool:
        """See `Leases.release`."""
        return bool(await self._link.script(_RELEASE, [keys.lease(lease.role, lease.stream)], [lease.epoch]))

    async def inspect(self, role: Role, stream: StreamId) -> Lease | None:
        """See `Leases.inspect`."""
        owner, address, epoch, left_ms = await self._link.script(_INSPECT, [keys.lease(role, stream)], [])
        if owner is None:
            return None
        return Lease(role, stream, owner.decode(), address.decode(), int(epoch), max(0, left_ms) / 1000)

    async def expire(self, role: Role, stream: StreamId) -> bool:
        """See `Leases.expire`."""
        return bool(await self._link.execute("DEL", keys.lease(role, stream)))


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


_ACQUIRE = """
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner and owner ~= ARGV[1] then return false end
local epoch = redis.call('HGET', KEYS[1], 'epoch') or redis.call('INCR', KEYS[2])
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'address', ARGV[2], 'epoch', epoch)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return tonumber(epoch)
"""

_RENEW = """
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

_RELEASE = """
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

_INSPECT = """
local found = redis.call('HMGET', KEYS[1], 'owner', 'address', 'epoch')
return {found[1], found[2], found[3], redis.call('PTTL', KEYS[1])}
"""
