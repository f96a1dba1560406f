"""The bus in one process: for tests, and for whoever wants no server. Held to the same conformance suite as Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from livestar.bus.bus import START, Backlog, Entry
from livestar.core.errors import AlreadyExists

Id = tuple[int, int]


@dataclass
class _Pending:
    consumer: str
    since_s: float
    deliveries: int = 1


@dataclass
class _Group:
    last: Id = (0, 0)
    pending: dict[Id, _Pending] = field(default_factory=dict)


@dataclass
class _Stream:
    entries: dict[Id, Entry] = field(default_factory=dict)
    groups: dict[str, _Group] = field(default_factory=dict)
    newest: Id = (0, 0)

    def behind(self, last: Id, count: int) -> list[Entry]:
        return [entry for entry_id, entry in self.entries.items() if entry_id > last][:count]

    def trim(self, maxlen: int) -> int:
        doomed = list(self.entries)[: max(0, len(self.entries) - maxlen)]
        for entry_id in doomed:
            del self.entries[entry_id]
        return len(doomed)


class InMemoryBus:
    """A `Bus`. Everything is gone with the object.

    Args:
        clock: seconds, for idle times; tests may turn it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._streams: dict[str, _Stream] = {}
        self._news = asyncio.Condition()

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
        stream = self._streams.setdefault(key, _Stream())
        new = _parsed(entry_id) if entry_id else _next_id(stream.newest)
        if new <= stream.newest:
            raise AlreadyExists(f"{key} holds {entry_id} or a newer entry already: read it instead")
        stream.newest = new
        stream.entries[new] = Entry(key, _written(new), payload, dict(headers or {}))
        stream.trim(maxlen)
        async with self._news:
            self._news.notify_all()
        return _written(new)

    async def read(self, cursors: Mapping[str, str], *, count: int, block_s: float) -> list[Entry]:
        """See `Bus.read`."""
        return await self._wait_for(
            lambda: [
                entry
                for key, cursor in cursors.items()
                if key in self._streams
                for entry in self._streams[key].behind(_parsed(cursor), count)
            ],
            block_s if cursors else 0,
        )

    async def bounds(self, key: str) -> tuple[str, str]:
        """See `Bus.bounds`."""
        ids = list(self._streams[key].entries) if key in self._streams else []
        return (_written(ids[0]), _written(ids[-1])) if ids else (START, START)

    async def length(self, key: str) -> int:
        """See `Bus.length`."""
        return len(self._streams[key].entries) if key in self._streams else 0

    async def trim(self, key: str, *, maxlen: int) -> int:
        """See `Bus.trim`."""
        return self._streams[key].trim(maxlen) if key in self._streams else 0

    async def delete(self, *keys: str) -> None:
        """See `Bus.delete`."""
        for key in keys:
            self._streams.pop(key, None)

    async def join(self, key: str, group: str) -> None:
        """See `Bus.join`."""
        self._group(key, group)

    async def read_group(
        self, keys: Collection[str], group: str, consumer: str, *, count: int, block_s: float
    ) -> list[Entry]:
        """See `Bus.read_group`."""
        return await self._wait_for(
            lambda: [entry for key in keys for entry in self._hand_out(key, group, consumer, count)],
            block_s if keys else 0,
        )

    async def ack(self, key: str, group: str, *entry_ids: str) -> int:
        """See `Bus.ack`."""
        pending = self._pending(key, group)
        return sum(pending.pop(_parsed(entry_id), None) is not None for entry_id in entry_ids)

    async def remove(self, key: str, *entry_ids: str) -> int:
        """See `Bus.remove`."""
        stream = self._streams.get(key)
        return sum(
            stream is not None and stream.entries.pop(_parsed(entry_id), None) is not None
            for entry_id in entry_ids
        )

    async def claim_idle(
        self, key: str, group: str, consumer: str, *, min_idle_s: float, count: int
    ) -> list[Entry]:
        """See `Bus.claim_idle`."""
        pending, now_s, found = self._pending(key, group), self._clock(), list[Entry]()
        for entry_id, waits in sorted(pending.items()):
            if now_s - waits.since_s < min_idle_s or len(found) == count:
                continue
            if (entry := self._streams[key].entries.get(entry_id)) is None:
                del pending[entry_id]
                continue
            pending[entry_id] = _Pending(consumer, now_s, waits.deliveries + 1)
            found.append(replace(entry, deliveries=waits.deliveries + 1))
        return found

    async def hold(self, key: str, group: str, consumer: str, *entry_ids: str) -> None:
        """See `Bus.hold`."""
        pending = self._pending(key, group)
        for entry_id in map(_parsed, entry_ids):
            if waits := pending.get(entry_id):
                pending[entry_id] = replace(waits, consumer=consumer, since_s=self._clock())

    async def backlog(self, key: str, group: str) -> Backlog:
        """See `Bus.backlog`."""
        stream = self._streams.get(key)
        if stream is None or group not in stream.groups:
            return Backlog(0, 0)
        joined = stream.groups[group]
        return Backlog(len(stream.behind(joined.last, len(stream.entries))), len(joined.pending))

    async def leave(self, key: str, group: str, consumer: str) -> bool:
        """See `Bus.leave`."""
        return all(waits.consumer != consumer for waits in self._pending(key, group).values())

    async def ping(self) -> None:
        """See `Bus.ping`."""

    async def close(self) -> None:
        """See `Bus.close`."""

    def _hand_out(self, key: str, group: str, consumer: str, count: int) -> list[Entry]:
        joined = self._group(key, group)
        entries = self._streams[key].behind(joined.last, count)
        for entry in entries:
            joined.last = _parsed(entry.id)
            joined.pending[joined.last] = _Pending(consumer, self._clock())
        return entries

    def _group(self, key: str, group: str) -> _Group:
        return self._streams.setdefault(key, _Stream()).groups.setdefault(group, _Group())

    def _pending(self, key: str, group: str) -> dict[Id, _Pending]:
        stream = self._streams.get(key)
        return stream.groups[group].pending if stream and group in stream.groups else {}

    async def _wait_for(self, find: Callable[[], list[Entry]], block_s: float) -> list[Entry]:
        if (found := find()) or block_s <= 0:
            await asyncio.sleep(0)
            return found
        try:
            async with asyncio.timeout(block_s), self._news:
                while not (found := find()):
                    await self._news.wait()
        except TimeoutError:
            return []
        return found


def _next_id(newest: Id) -> Id:
    now_ms = time.time_ns() // 1_000_000
    return (now_ms, 0) if now_ms > newest[0] else (newest[0], newest[1] + 1)


def _parsed(entry_id: str) -> Id:
    ms, _, n = entry_id.partition("-")
    return int(ms), int(n or 0)


def _written(entry_id: Id) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"
