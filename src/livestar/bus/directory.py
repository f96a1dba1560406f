"""Which processes of a service live now, and where: what has no lease is found here."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from livestar.bus import keys
from livestar.bus.redis_link import Argument, RedisLink
from livestar.core.errors import LiveStarError

TTL_S = 6.0
"""How long a process is listed after it was last heard of."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where one process listens.

    Attributes:
        owner: name of the process, unique among the living ones.
        grpc: `host:port` of its gRPC server; empty where it has none.
        http: `host:port` of its HTTP endpoint.
    """

    owner: str
    grpc: str
    http: str


class Directory:
    """Lists living processes. The link is shared; whoever made it closes it."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def announce(self, service: str, address: Address, *, ttl_s: float = TTL_S) -> None:
        """Lists a process for `ttl_s` from now.

        Raises:
            Unavailable: Redis is away.
        """
        fields: list[Argument] = [address.owner, address.grpc, address.http, round(ttl_s * 1000)]
        await self._link.script(_ANNOUNCE, [keys.processes(service)], fields)

    async def keep_announcing(self, service: str, address: Address, *, ttl_s: float = TTL_S) -> None:
        """Lists a process for as long as it is not cancelled; spawn it. While Redis is away it tries again."""
        try:
            while True:
                try:
                    await self.announce(service, address, ttl_s=ttl_s)
                except LiveStarError:
                    await asyncio.sleep(ttl_s / 6)
                else:
                    await asyncio.sleep(ttl_s / 3)
        finally:
            await self._quietly_remove(service, address.owner)

    async def find(self, service: str) -> list[Address]:
        """The living processes of a service, by owner.

        Raises:
            Unavailable: Redis is away.
        """
        found = await self._link.script(_FIND, [keys.processes(service)], [])
        return sorted((Address(*(part.decode() for part in one)) for one in found), key=lambda one: one.owner)

    async def _quietly_remove(self, service: str, owner: str) -> None:
        try:
            async with asyncio.timeout(1.0):
                await self._link.execute("HDEL", keys.processes(service), owner)
        except (LiveStarError, TimeoutError):
            # It falls off the list by itself.
            return


_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

_ANNOUNCE = f"""{_NOW}
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode({{ARGV[2], ARGV[3], now + ARGV[4]}}))
"""

_FIND = f"""{_NOW}
local found, all = {{}}, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local known = cjson.decode(all[i + 1])
  if known[3] > now then
    found[#found + 1] = {{all[i], known[1], known[2]}}
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return found
"""
