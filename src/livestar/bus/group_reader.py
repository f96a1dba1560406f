"""A member of a consumer group: reads, takes over from members that died, and gives up on what nobody can handle."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from livestar.bus import keys as bus_keys
from livestar.bus.bus import Bus, Entry
from livestar.obs import TRACEPARENT

MessageT = TypeVar("MessageT")


@dataclass(frozen=True)
class GroupSettings:
    """How a member reads.

    Attributes:
        group: name of the group; also names its dead letters (`keys.dead(group)`).
        consumer: name of this member, unique among the living ones.
        count: most entries of each stream in one answer.
        block_s: longest wait for the first one.
        max_deliveries: an entry that was handed out so often without being acknowledged is dead.
        min_idle_s: an entry unacknowledged for so long is taken over: more than handling one takes, or hold it.
        claim_every_s: how often to look for such entries, while there are none.
        claim_count: most entries to take over at once. One: an entry that kills its reader takes no other with it.
        max_dead: dead letters kept.
        remove_acked: drop entries from the stream once they are acknowledged: nobody else reads them.
    """

    group: str
    consumer: str
    count: int = 16
    block_s: float = 0.5
    max_deliveries: int = 4
    min_idle_s: float = 10.0
    claim_every_s: float = 2.0
    claim_count: int = 16
    max_dead: int = 1000
    remove_acked: bool = False


@dataclass(frozen=True)
class Delivery(Generic[MessageT]):
    """A message to handle: acknowledge it after its effect.

    Attributes:
        message: parsed.
        entry: where it came from.
    """

    message: MessageT
    entry: Entry

    @property
    def traceparent(self) -> str | None:
        """The trace that it belongs to."""
        return self.entry.headers.get(TRACEPARENT)


def _by_stream(deliveries: Sequence[Delivery[MessageT]]) -> dict[str, list[str]]:
    by_stream: dict[str, list[str]] = {}
    for delivery in deliveries:
        by_stream.setdefault(delivery.entry.key, []).append(delivery.entry.id)
    return by_stream


async def _ignore(entry: Entry, reason: str) -> None:
    pass


class GroupReader(Generic[MessageT]):
    """Reads some streams as a member of a group.

    Messages that cannot be parsed, or that killed too many members, go to the dead letters and never come back.

    Args:
        bus: the bus.
        streams: keys of the streams.
        parse: bytes to message; raises whatever it likes when the bytes are none.
        settings: how to read.
        on_dead: told every dead letter and why ("unreadable" or "given_up"), before it is acknowledged: at least once.
    """

    def __init__(
        self,
        bus: Bus,
        streams: Sequence[str],
        parse: Callable[[bytes], MessageT],
        settings: GroupSettings,
        on_dead: Callable[[Entry, str], Awaitable[None]] = _ignore,
    ) -> None:
        self._bus = bus
        self._streams = tuple(streams)
        self._parse = parse
        self._settings = settings
        self._on_dead = on_dead
        self._claim_at_s = 0.0

    async def join(self) -> None:
        """Makes the group on every stream. Reading does so, too; this way a backlog can be seen before the first read."""
        for key in self._streams:
            await self._bus.join(key, self._settings.group)

    async def read(self, *, block_s: float | None = None) -> list[Delivery[MessageT]]:
        """The next messages: left behind by others first, then new ones; empty when none came within `block_s`.

        Args:
            block_s: instead of the settings' one; 0 does not wait.

        Raises:
            Unavailable: the bus is away.
        """
        entries = await self._left_behind()
        if not entries:
            entries = await self._bus.read_group(
                self._streams,
                self._settings.group,
                self._settings.consumer,
                count=self._settings.count,
                block_s=self._settings.block_s if block_s is None else block_s,
            )
        return [delivery for entry in entries if (delivery := await self._delivery(entry))]

    async def ack(self, *deliveries: Delivery[MessageT]) -> None:
        """These have had their effect.

        Raises:
            Unavailable: the bus is away; they will come again.
        """
        for key, ids in _by_stream(deliveries).items():
            await self._ack(key, *ids)

    async def hold(self, *deliveries: Delivery[MessageT]) -> None:
        """These are still being handled: call it more often than every `min_idle_s`, and nobody takes them over.

        Raises:
            Unavailable: the bus is away.
        """
        for key, ids in _by_stream(deliveries).items():
            await self._bus.hold(key, self._settings.group, self._settings.consumer, *ids)

    async def bury(self, entry: Entry, reason: str) -> None:
        """Moves an entry to the dead letters: copied first, then told, then acknowledged.

        Raises:
            Unavailable: the bus is away; the entry will come again.
        """
        headers = {**entry.headers, "key": entry.key, "id": entry.id, "reason": reason}
        await self._bus.publish(
            bus_keys.dead(self._settings.group),
            entry.payload,
            maxlen=self._settings.max_dead,
            headers=headers,
        )
        await self._on_dead(entry, reason)
        await self._ack(entry.key, entry.id)

    async def leave(self) -> None:
        """Takes this member out of the group where it has nothing pending."""
        for key in self._streams:
            await self._bus.leave(key, self._settings.group, self._settings.consumer)

    async def _ack(self, key: str, *ids: str) -> None:
        await self._bus.ack(key, self._settings.group, *ids)
        if self._settings.remove_acked:
            await self._bus.remove(key, *ids)

    async def _left_behind(self) -> list[Entry]:
        if time.monotonic() < self._claim_at_s:
            return []
        found: list[Entry] = []
        for key in self._streams:
            if len(found) < self._settings.claim_count:
                found += await self._bus.claim_idle(
                    key,
                    self._settings.group,
                    self._settings.consumer,
                    min_idle_s=self._settings.min_idle_s,
                    count=self._settings.claim_count - len(found),
                )
        # Where there was one, there may be more.
        if not found:
            self._claim_at_s = time.monotonic() + self._settings.claim_every_s
        return found

    async def _delivery(self, entry: Entry) -> Delivery[MessageT] | None:
        if entry.deliveries > self._settings.max_deliveries:
            await self.bury(entry, "given_up")
            return None
        try:
            if not entry.payload:
                raise ValueError("no payload: proto3 would take it for a message of zeros")
            message = self._parse(entry.payload)
        except Exception:  # whatever a parser raises, the bytes will not get better
            await self.bury(entry, "unreadable")
            return None
        return Delivery(message, entry)
