"""The bus: append-only, bounded streams of small binary messages, as everybody sees them.

At least once: a message may come twice, and is acknowledged after its effect. `redis_streams.py` is the real one, `in_memory.py`
the one for tests; one conformance suite holds both to this page.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from livestar.obs import TRACEPARENT, current_traceparent

START = "0-0"
"""The cursor before the oldest entry."""


def traced(**headers: str) -> dict[str, str]:
    """Headers for `publish`, with the current trace where there is one."""
    traceparent = current_traceparent()
    return {**headers, TRACEPARENT: traceparent} if traceparent else headers


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a stream.

    Attributes:
        key: the stream that it was read from.
        id: `<ms>-<n>`, growing within the stream; a cursor.
        payload: a serialised proto; empty when the entry is not one of ours.
        headers: small texts beside the payload, such as `TRACEPARENT`.
        deliveries: how often a group has handed it out, from 1; 1 outside groups.
    """

    key: str
    id: str
    payload: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    deliveries: int = 1


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a group has not finished.

    Attributes:
        waiting: entries that nobody has read yet.
        pending: entries that were read but not acknowledged.
    """

    waiting: int
    pending: int


class Bus(Protocol):
    """See the module. Belongs to one event loop.

    Every method raises `Unavailable` when the bus stays away beyond its deadline; the caller tries again later. Waits end at
    their `block_s`; cancelling one loses nothing that was not acknowledged.
    """

    async def publish(
        self,
        key: str,
        payload: bytes,
        *,
        maxlen: int,
        headers: Mapping[str, str] | None = None,
        entry_id: str | None = None,
    ) -> str:
        """Appends a message, trims the stream to its newest `maxlen` entries, and returns the entry's id.

        Args:
            key: the stream; made when it does not exist.
            payload: a serialised proto.
            maxlen: at least 1.
            headers: small texts beside the payload.
            entry_id: `<n>-<m>` instead of the clock.

        Raises:
            AlreadyExists: `entry_id` is not above the newest id of the stream.
            CapacityExceeded: Redis is out of memory.
        """
        ...

    async def read(self, cursors: Mapping[str, str], *, count: int, block_s: float) -> list[Entry]:
        """Entries behind a cursor per stream, oldest first within each; at most `count` of each stream.

        Waits up to `block_s` for the first one; 0 does not wait. An empty list: nothing came.
        """
        ...

    async def bounds(self, key: str) -> tuple[str, str]:
        """Ids of the oldest and the newest entry; (START, START) for an empty stream."""
        ...

    async def length(self, key: str) -> int:
        """Number of entries; 0 where there is no stream."""
        ...

    async def trim(self, key: str, *, maxlen: int) -> int:
        """Drops all but the newest `maxlen` entries; returns how many went."""
        ...

    async def delete(self, *keys: str) -> None:
        """Removes streams with their groups; missing ones are fine."""
        ...

    async def join(self, key: str, group: str) -> None:
        """Makes a group that begins at the oldest entry, and the stream with it; an existing one is fine."""
        ...

    async def read_group(
        self, keys: Collection[str], group: str, consumer: str, *, count: int, block_s: float
    ) -> list[Entry]:
        """Entries that no member of the group has read; they are pending for `consumer` until `ack`.

        At most `count` of each stream; waits up to `block_s` for the first one. Groups that vanished (an empty Redis came
        back) are made again.
        """
        ...

    async def ack(self, key: str, group: str, *entry_ids: str) -> int:
        """Takes entries off the pending list; returns how many were on it."""
        ...

    async def remove(self, key: str, *entry_ids: str) -> int:
        """Drops entries from the stream, for all groups; returns how many were there. Acknowledge them first."""
        ...

    async def claim_idle(
        self, key: str, group: str, consumer: str, *, min_idle_s: float, count: int
    ) -> list[Entry]:
        """Takes over up to `count` entries that a member read at least `min_idle_s` ago and did not acknowledge.

        `Entry.deliveries` counts this delivery. Entries that were trimmed in the meantime leave the pending list.
        """
        ...

    async def hold(self, key: str, group: str, consumer: str, *entry_ids: str) -> None:
        """Says that `consumer` is still at work on these pending entries: they are not idle, and count no delivery."""
        ...

    async def backlog(self, key: str, group: str) -> Backlog:
        """What the group has not finished; zeros where there is no group."""
        ...

    async def leave(self, key: str, group: str, consumer: str) -> bool:
        """Forgets a member that has nothing pending; False: it has, so that others can claim it."""
        ...

    async def ping(self) -> None:
        """Passes when the bus answers."""
        ...

    async def close(self) -> None:
        """Releases connections; the bus is not used afterwards."""
        ...
