"""Leases in one process, for tests. Held to the same conformance suite as those on Redis."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from livestar.bus.lease import Lease, Role, lost
from livestar.core.ids import StreamId


class InMemoryLeases:
    """A `Leases`.

    Args:
        clock: seconds; tests may turn it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[tuple[Role, StreamId], tuple[Lease, float]] = {}
        self._last_epoch = 0

    async def acquire(
        self, role: Role, stream: StreamId, *, owner: str, address: str, ttl_s: float
    ) -> Lease | None:
        """See `Leases.acquire`."""
        held = await self.inspect(role, stream)
        if held and held.owner != owner:
            return None
        if not held:
            self._last_epoch += 1
        epoch = held.epoch if held else self._last_epoch
        return self._hold(Lease(role, stream, owner, address, epoch, ttl_s))

    async def renew(self, lease: Lease, *, ttl_s: float) -> Lease:
        """See `Leases.renew`."""
        if not await self._holds(lease):
            raise lost(lease)
        return self._hold(replace(lease, left_s=ttl_s))

    async def release(self, lease: Lease) -> bool:
        """See `Leases.release`."""
        return await self._holds(lease) and await self.expire(lease.role, lease.stream)

    async def inspect(self, role: Role, stream: StreamId) -> Lease | None:
        """See `Leases.inspect`."""
        lease, until_s = self._held.get((role, stream), (None, 0.0))
        left_s = until_s - self._clock()
        return replace(lease, left_s=left_s) if lease and left_s > 0 else None

    async def expire(self, role: Role, stream: StreamId) -> bool:
        """See `Leases.expire`."""
        held = await self.inspect(role, stream)
        self._held.pop((role, stream), None)
        return held is not None

    async def _holds(self, lease: Lease) -> bool:
        held = await self.inspect(lease.role, lease.stream)
        return held is not None and held.epoch == lease.epoch

    def _hold(self, lease: Lease) -> Lease:
        self._held[lease.role, lease.stream] = (lease, self._clock() + lease.left_s)
        return lease
