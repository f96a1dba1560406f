"""The registry on Redis: each step is one script, so it happens or it does not."""

from __future__ import annotations

import time
from collections.abc import Sequence

from livestar.api.v1 import common_pb2
from livestar.bus import keys
from livestar.bus.redis_link import Argument, RedisLink
from livestar.bus.registry import (
    FINAL,
    MOVES,
    SHOWN,
    STOP,
    Page,
    State,
    bad_token,
    cannot_move,
    not_found,
    outdated,
    taken,
)
from livestar.core.address import without_secrets
from livestar.core.ids import StreamId


class RedisRegistry:
    """A `Registry`. The link is shared; whoever made it closes it."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def create(self, spec: common_pb2.StreamSpec) -> common_pb2.StreamInfo:
        """See `Registry.create`."""
        stream = StreamId(spec.stream_id)
        created = await self._link.script(
            _CREATE,
            [keys.stream(stream), keys.streams(), keys.unfinished()],
            [stream, shown_spec(spec).SerializeToString(deterministic=True), spec.source, time.time_ns()],
        )
        if not created:
            raise taken(stream)
        return await self.get(stream)

    async def get(self, stream: StreamId) -> common_pb2.StreamInfo:
        """See `Registry.get`."""
        values = await self._link.execute("HMGET", keys.stream(stream), *SHOWN)
        if values[0] is None:
            raise not_found(stream)
        return _info(values)

    async def source(self, stream: StreamId) -> str:
        """See `Registry.source`."""
        source: bytes | None = await self._link.execute("HGET", keys.stream(stream), "source")
        if source is None:
            raise not_found(stream)
        return source.decode()

    async def page(self, *, limit: int, token: str = "") -> Page:
        """See `Registry.page`."""
        ids = await self._link.script(_PAGE, [keys.streams()], [token, limit + 1])
        if ids is None:
            raise bad_token()
        streams = await self._several(ids[:limit])
        return Page(streams, ids[limit - 1].decode() if len(ids) > limit else "")

    async def unfinished(self) -> list[common_pb2.StreamInfo]:
        """See `Registry.unfinished`."""
        return await self._several(sorted(await self._link.execute("SMEMBERS", keys.unfinished())))

    async def move(self, stream: StreamId, to: State, *, reason: str = "") -> common_pb2.StreamInfo:
        """See `Registry.move`."""
        allowed = {state: to for state, states in MOVES.items() if to in states} | {to: to}
        state = await self._change(stream, allowed, reason)
        if state not in allowed:
            raise cannot_move(stream, state, to)
        return await self.get(stream)

    async def stop(self, stream: StreamId, *, reason: str = "") -> common_pb2.StreamInfo:
        """See `Registry.stop`."""
        await self._change(stream, STOP, reason)
        return await self.get(stream)

    async def delete(self, stream: StreamId) -> bool:
        """See `Registry.delete`."""
        deleted = await self._link.script(
            _DELETE, [keys.stream(stream), keys.streams(), keys.unfinished()], [stream]
        )
        return bool(deleted)

    async def note_captured(self, stream: StreamId, *, epoch: int, sequence: int, pts_ns: int) -> None:
        """See `Registry.note_captured`."""
        fields = {"captured_sequence": sequence, "captured_pts_ns": pts_ns}
        await self._note(stream, "ingest_epoch", epoch, fields)

    async def note_decided(
        self, stream: StreamId, *, epoch: int, sequence: int, pts_ns: int, event_sequence: int
    ) -> None:
        """See `Registry.note_decided`."""
        fields = {"decided_sequence": sequence, "decided_pts_ns": pts_ns, "event_sequence": event_sequence}
        await self._note(stream, "decoder_epoch", epoch, fields)

    async def _note(self, stream: StreamId, fence: str, epoch: int, fields: dict[str, int]) -> None:
        flat: list[Argument] = [argument for pair in fields.items() for argument in pair]
        noted = await self._link.script(_NOTE, [keys.stream(stream)], [fence, epoch, *flat])
        if noted is None:
            raise not_found(stream)
        if not noted:
            raise outdated(stream, epoch)

    async def _change(self, stream: StreamId, moves: dict[State, State], reason: str) -> State:
        """Moves the stream where `moves` says; returns the state before."""
        flat: list[Argument] = [state for move in moves.items() for state in move]
        before = await self._link.script(
            _CHANGE,
            [keys.stream(stream), keys.unfinished()],
            [stream, reason, time.time_ns(), ",".join(map(str, FINAL)), *flat],
        )
        if before is None:
            raise not_found(stream)
        return common_pb2.StreamState.ValueType(int(before))

    async def _several(self, ids: Sequence[bytes]) -> list[common_pb2.StreamInfo]:
        if not ids:
            return []
        found = await self._link.script(_SEVERAL, [keys.stream(StreamId(i.decode())) for i in ids], SHOWN)
        # One that was deleted in between is not there any more.
        return [_info(values) for values in found if values[0] is not None]


def shown_spec(spec: common_pb2.StreamSpec) -> common_pb2.StreamSpec:
    """A copy whose source is without credentials."""
    shown = common_pb2.StreamSpec()
    shown.CopyFrom(spec)
    shown.source = without_secrets(spec.source)
    return shown


def _info(values: Sequence[bytes | None]) -> common_pb2.StreamInfo:
    fields = dict(zip(SHOWN, values, strict=True))
    numbers = {
        name: int(value or 0) for name, value in fields.items() if name not in ("spec", "reason", "state")
    }
    return common_pb2.StreamInfo(
        spec=common_pb2.StreamSpec.FromString(fields["spec"] or b""),
        state=common_pb2.StreamState.ValueType(int(fields["state"] or 0)),
        reason=(fields["reason"] or b"").decode(),
        **numbers,
    )


_CREATE = f"""
if redis.call('EXISTS', KEYS[1]) == 1 then
  local known = redis.call('HMGET', KEYS[1], 'spec', 'source')
  return known[1] == ARGV[2] and known[2] == ARGV[3] and 1 or 0
end
redis.call('HSET', KEYS[1], 'spec', ARGV[2], 'source', ARGV[3], 'state', {common_pb2.STREAM_STATE_PENDING}, 'reason', '',
  'created_at_ns', ARGV[4], 'updated_at_ns', ARGV[4])
redis.call('ZADD', KEYS[2], string.sub(ARGV[4], 1, -4), ARGV[1])
redis.call('SADD', KEYS[3], ARGV[1])
return 1
"""

_PAGE = """
local first = 0
if ARGV[1] ~= '' then
  local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
  if not rank then return false end
  first = rank + 1
end
return redis.call('ZREVRANGE', KEYS[1], first, first + ARGV[2] - 1)
"""

_SEVERAL = """
local found = {}
for i, key in ipairs(KEYS) do found[i] = redis.call('HMGET', key, unpack(ARGV)) end
return found
"""

_CHANGE = """
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return false end
for i = 5, #ARGV, 2 do
  if ARGV[i] == state then
    local to = ARGV[i + 1]
    redis.call('HSET', KEYS[1], 'state', to, 'reason', ARGV[2], 'updated_at_ns', ARGV[3])
    if string.find(',' .. ARGV[4] .. ',', ',' .. to .. ',', 1, true) then redis.call('SREM', KEYS[2], ARGV[1]) end
  end
end
return state
"""

_DELETE = """
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
return redis.call('DEL', KEYS[1])
"""

_NOTE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local known = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
local epoch = tonumber(ARGV[2])
if epoch < known then return 0 end
local last = tonumber(redis.call('HGET', KEYS[1], ARGV[3]) or 0)
if epoch == known and tonumber(ARGV[4]) < last then return 1 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
"""
