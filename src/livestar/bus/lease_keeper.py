"""Keeps a lease for as long as its owner works, and says at once when it is gone."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

from livestar.bus.lease import Lease, Leases, Role, lost
from livestar.core.errors import LeaseLost, LiveStarError
from livestar.core.ids import StreamId


class LeaseKeeper:
    """Renews a lease three times in its life, as a context manager; gives it up at the end. Made by `take`.

    By this process's own clock, counted from before each renewal was sent: what it says ends before what Redis says.

    Attributes:
        lost: set as soon as the lease may be gone; never cleared. Whoever sees it stops at once.
        lease: as last renewed.
    """

    def __init__(self, leases: Leases, lease: Lease, *, ttl_s: float, until_s: float) -> None:
        self.lost = asyncio.Event()
        self.lease = lease
        self._leases = leases
        self._ttl_s = ttl_s
        self._until_s = until_s
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def take(
        cls, leases: Leases, role: Role, stream: StreamId, *, owner: str, address: str, ttl_s: float
    ) -> Self | None:
        """Takes the lease; None: another owner has it. Enter the keeper, or the lease runs out.

        Raises:
            Unavailable: Redis is away.
        """
        until_s = time.monotonic() + ttl_s
        lease = await leases.acquire(role, stream, owner=owner, address=address, ttl_s=ttl_s)
        return cls(leases, lease, ttl_s=ttl_s, until_s=until_s) if lease else None

    @property
    def holds(self) -> bool:
        """Whether the lease is surely held now; true to the clock even where the event loop was held up."""
        return not self.lost.is_set() and time.monotonic() < self._until_s

    def check(self) -> None:
        """Passes while the lease is surely held: call it right before an effect.

        Raises:
            LeaseLost: it may be gone.
        """
        if not self.holds:
            self.lost.set()
            raise lost(self.lease)

    @property
    def epoch(self) -> int:
        """The epoch that every write carries."""
        return self.lease.epoch

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep(), name=f"lease {self.lease.role} {self.lease.stream}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._task is not None, "the keeper was not entered"
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if not self.lost.is_set():
            try:
                await self._leases.release(self.lease)
            except LiveStarError:
                # Redis is away: it runs out by itself.
                self.lost.set()

    async def _keep(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._ttl_s / 3)
                async with asyncio.timeout(self._until_s - time.monotonic()):
                    await self._renew()
        except (LeaseLost, TimeoutError):
            self.lost.set()

    async def _renew(self) -> None:
        """Tries until it is renewed or refused; the clock ends it."""
        while True:
            until_s = time.monotonic() + self._ttl_s
            try:
                self.lease = await self._leases.renew(self.lease, ttl_s=self._ttl_s)
            except LeaseLost:
                raise
            except LiveStarError:
                await asyncio.sleep(min(0.1, self._ttl_s / 10))
            else:
                self._until_s = until_s
                return
