"""Who owns a stream in a role, for how long, and under which epoch.

An epoch is given once and only grows, over all leases and all time: a write that carries an older one is refused wherever epochs
are checked, so an owner that was too slow to notice cannot do harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from livestar.core.errors import LeaseLost
from livestar.core.ids import StreamId


class Role(StrEnum):
    """What a stream is owned for."""

    INGEST = "ingest"
    DECODER = "decoder"


@dataclass(frozen=True, slots=True)
class Lease:
    """An ownership, as it was when it was looked at.

    Attributes:
        role: what for.
        stream: the stream.
        owner: name of the process, unique among the living ones.
        address: `host:port` of its gRPC server.
        epoch: from 1.
        left_s: seconds until it expires, unless it is renewed.
    """

    role: Role
    stream: StreamId
    owner: str
    address: str
    epoch: int
    left_s: float


class Leases(Protocol):
    """Gives leases. Every method raises `Unavailable` when Redis stays away."""

    async def acquire(
        self, role: Role, stream: StreamId, *, owner: str, address: str, ttl_s: float
    ) -> Lease | None:
        """Takes the lease; None: another owner has it. Who has it already gets it again, with the same epoch, renewed."""
        ...

    async def renew(self, lease: Lease, *, ttl_s: float) -> Lease:
        """Keeps the lease for `ttl_s` from now.

        Raises:
            LeaseLost: it has expired, or somebody else has it.
        """
        ...

    async def release(self, lease: Lease) -> bool:
        """Gives the lease up at once, so that another can take it; False: it was gone already."""
        ...

    async def inspect(self, role: Role, stream: StreamId) -> Lease | None:
        """The lease that is held now; None: nobody holds it."""
        ...

    async def expire(self, role: Role, stream: StreamId) -> bool:
        """Takes the lease from whoever holds it; False: nobody did. Its owner notices at its next renewal."""
        ...


def lost(lease: Lease) -> LeaseLost:
    """What the owner of a lease that is gone is told."""
    return LeaseLost(
        f"the {lease.role} lease of stream '{lease.stream}' with epoch {lease.epoch} is gone: stop working on it"
    )
