"""The bus on Redis Streams."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from redis import exceptions

from livestar.bus.bus import START, Backlog, Entry
from livestar.bus.redis_link import RedisLink
from livestar.core.errors import AlreadyExists

PAYLOAD = b"p"


class RedisStreams:
    """A `Bus`. The link is shared; whoever made it closes it."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def publish(
        self,
        key: str,
        payload: bytes,
        *,
        maxlen: int,
        headers: Mapping[str, str] | None = None,
        entry_id: str | None = None,
    ) -> str:
        """See `Bus.publish`."""
        fields: list[str | bytes] = [PAYLOAD, payload]
        for name, value in (headers or {}).items():
            fields += [name, value]
        try:
            new: bytes = await self._link.execute("XADD", key, "MAXLEN", maxlen, entry_id or "*", *fields)
        except exceptions.ResponseError as error:
            if "equal or smaller" in str(error):
                raise AlreadyExists(
                    f"{key} holds {entry_id} or a newer entry already: read it instead"
                ) from None
            raise
        return new.decode()

    async def read(self, cursors: Mapping[str, str], *, count: int, block_s: float) -> list[Entry]:
        """See `Bus.read`."""
        if not cursors:
            return []
        block = ("BLOCK", _ms(block_s)) if block_s > 0 else ()
        answer = await self._link.execute(
            "XREAD", "COUNT", count, *block, "STREAMS", *cursors.keys(), *cursors.values(), block_s=block_s
        )
        return _entries(answer)

    async def bounds(self, key: str) -> tuple[str, str]:
        """See `Bus.bounds`."""
        oldest = await self._link.execute("XRANGE", key, "-", "+", "COUNT", 1)
        newest = await self._link.execute("XREVRANGE", key, "+", "-", "COUNT", 1)
        return (oldest[0][0].decode(), newest[0][0].decode()) if oldest and newest else (START, START)

    async def length(self, key: str) -> int:
        """See `Bus.length`."""
        return int(await self._link.execute("XLEN", key))

    async def trim(self, key: str, *, maxlen: int) -> int:
        """See `Bus.trim`."""
        return int(await self._link.execute("XTRIM", key, "MAXLEN", maxlen))

    async def delete(self, *keys: str) -> None:
        """See `Bus.delete`."""
        if keys:
            await self._link.execute("UNLINK", *keys)

    async def join(self, key: str, group: str) -> None:
        """See `Bus.join`."""
        try:
            await self._link.execute("XGROUP", "CREATE", key, group, "0", "MKSTREAM")
        except exceptions.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def read_group(
        self, keys: Collection[str], group: str, consumer: str, *, count: int, block_s: float
    ) -> list[Entry]:
        """See `Bus.read_group`."""
        if not keys:
            return []
        block = ("BLOCK", _ms(block_s)) if block_s > 0 else ()
        command = ("XREADGROUP", "GROUP", group, consumer, "COUNT", count, *block, "STREAMS", *keys)
        new = (">",) * len(keys)
        try:
            answer = await self._link.execute(*command, *new, block_s=block_s)
        except exceptions.ResponseError as error:
            if not _group_is_gone(error):
                raise
            for key in keys:
                await self.join(key, group)
            answer = await self._link.execute(*command, *new, block_s=block_s)
        return _entries(answer)

    async def ack(self, key: str, group: str, *entry_ids: str) -> int:
        """See `Bus.ack`."""
        return int(await self._link.execute("XACK", key, group, *entry_ids)) if entry_ids else 0

    async def remove(self, key: str, *entry_ids: str) -> int:
        """See `Bus.remove`."""
        return int(await self._link.execute("XDEL", key, *entry_ids)) if entry_ids else 0

    async def claim_idle(
        self, key: str, group: str, consumer: str, *, min_idle_s: float, count: int
    ) -> list[Entry]:
        """See `Bus.claim_idle`."""
        try:
            claimed = await self._link.script(_CLAIM, [key], [group, consumer, _ms(min_idle_s), count])
        except exceptions.ResponseError as error:
            if _group_is_gone(error):
                return []
            raise
        return [_entry(key, entry_id, fields, int(deliveries)) for entry_id, fields, deliveries in claimed]

    async def hold(self, key: str, group: str, consumer: str, *entry_ids: str) -> None:
        """See `Bus.hold`."""
        if not entry_ids:
            return
        try:
            await self._link.script(_HOLD, [key], [group, consumer, *entry_ids])
        except exceptions.ResponseError as error:
            if not _group_is_gone(error):
                raise

    async def backlog(self, key: str, group: str) -> Backlog:
        """See `Bus.backlog`."""
        try:
            waiting, pending = await self._link.script(_BACKLOG, [key], [group])
        except exceptions.ResponseError as error:
            if "no such key" in str(error):
                return Backlog(0, 0)
            raise
        return Backlog(int(waiting), int(pending))

    async def leave(self, key: str, group: str, consumer: str) -> bool:
        """See `Bus.leave`."""
        try:
            return bool(await self._link.script(_LEAVE, [key], [group, consumer]))
        except exceptions.ResponseError as error:
            if _group_is_gone(error) or "no such key" in str(error):
                return True
            raise

    async def ping(self) -> None:
        """See `Bus.ping`."""
        await self._link.execute("PING")

    async def close(self) -> None:
        """Nothing of its own to release: the link belongs to whoever made it."""


def _ms(seconds: float) -> int:
    # 0 would block for ever.
    return max(1, round(seconds * 1000)) if seconds > 0 else 0


def _group_is_gone(error: exceptions.ResponseError) -> bool:
    return "NOGROUP" in str(error)


def _entries(answer: Any) -> list[Entry]:
    """Entries of XREAD or XREADGROUP, which is None, or [[key, [[id, fields], …]], …]."""
    return [
        _entry(key.decode(), entry_id, fields)
        for key, entries in answer or []
        for entry_id, fields in entries
        if entry_id is not None
    ]


def _entry(
    key: str, entry_id: bytes, fields: Mapping[bytes, bytes] | Sequence[bytes], deliveries: int = 1
) -> Entry:
    pairs = dict(fields) if isinstance(fields, Mapping) else dict(zip(fields[::2], fields[1::2], strict=True))
    payload = pairs.pop(PAYLOAD, b"")
    headers = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in pairs.items()}
    return Entry(key, entry_id.decode(), payload, headers, deliveries)


_HOLD = """
local ids = {unpack(ARGV, 3)}
ids[#ids + 1] = 'JUSTID'
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids))
"""

_CLAIM = """
local found, cursor = {}, '0-0'
repeat
  local answer = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], cursor, 'COUNT', ARGV[4] - #found)
  cursor = answer[1]
  for _, entry in ipairs(answer[2]) do
    local pending = redis.call('XPENDING', KEYS[1], ARGV[1], entry[1], entry[1], 1)
    found[#found + 1] = {entry[1], entry[2], pending[1][4]}
  end
until cursor == '0-0' or #found >= tonumber(ARGV[4])
return found
"""

# `lag` is nil when entries were deleted from the middle: then it is counted, up to a bound.
_BACKLOG = """
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local info = {}
  for i = 1, #group, 2 do info[group[i]] = group[i + 1] end
  if info['name'] == ARGV[1] then
    local lag = info['lag']
    if not lag then
      lag = #redis.call('XRANGE', KEYS[1], '(' .. info['last-delivered-id'], '+', 'COUNT', 10000)
    end
    return {lag, info['pending']}
  end
end
return {0, 0}
"""

_LEAVE = """
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local info = {}
  for i = 1, #consumer, 2 do info[consumer[i]] = consumer[i + 1] end
  if info['name'] == ARGV[2] then
    if info['pending'] > 0 then return 0 end
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
  end
end
return 1
"""
