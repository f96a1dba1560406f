"""Channels to other processes: one an address, a deadline on every call, our errors instead of statuses."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from grpc import aio

from livestar.obs import Metrics
from livestar.rpc.client_interceptors import StreamCalls, UnaryCalls
from livestar.rpc.metrics import RpcMetrics
from livestar.rpc.options import CHANNEL_OPTIONS

MAX_CHANNELS = 256


class Channels:
    """A pool of channels, as a context manager. Belongs to one event loop.

    Calls raise the classes of `core/errors.py`: what the server raised, or `Unavailable` and `DeadlineExceeded`.

    Args:
        metrics: of the process; a process has one pool.
        timeout_s: deadline of a call that is given none.
        stream_timeout_s: the same for calls whose answer streams.
    """

    def __init__(self, metrics: Metrics, *, timeout_s: float = 5.0, stream_timeout_s: float = 3600.0) -> None:
        called = RpcMetrics(metrics, "called")
        self._unary = (called, timeout_s)
        self._stream = (called, stream_timeout_s)
        self._channels: dict[str, aio.Channel] = {}

    async def to(self, address: str) -> aio.Channel:
        """The channel to `host:port`, for a stub; the one unused for longest goes when there are too many."""
        channel = self._channels.pop(address, None)
        if channel is None:
            interceptors = [UnaryCalls(address, *self._unary), StreamCalls(address, *self._stream)]
            channel = aio.insecure_channel(address, options=CHANNEL_OPTIONS, interceptors=interceptors)
        self._channels[address] = channel
        while len(self._channels) > MAX_CHANNELS:
            await self._channels.pop(next(iter(self._channels))).close(grace=1.0)
        return channel

    async def close(self) -> None:
        """Closes every channel; calls under way are cancelled."""
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
