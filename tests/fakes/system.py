"""The parts of the running system that a test of one service plays itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from livestar.api.v1 import common_pb2, events_pb2
from livestar.bus import START, Bus, Registry, keys
from livestar.core.ids import StreamId


async def until(true: Callable[[], Awaitable[bool]], *, within_s: float = 10.0) -> None:
    """Returns as soon as `true()` is; fails when it does not become so."""
    async with asyncio.timeout(within_s):
        while not await true():
            await asyncio.sleep(0.01)


class FrameLog:
    """Everything that ingest publishes for one stream, read beside the group."""

    def __init__(self, bus: Bus, stream: StreamId) -> None:
        self._bus = bus
        self._stream = stream
        self._key = keys.frames(keys.shard_of(stream))
        self._cursor = START
        self.messages: list[events_pb2.FrameCaptured] = []

    @property
    def frames(self) -> list[events_pb2.FrameCaptured]:
        """Those that are frames."""
        return [message for message in self.messages if message.HasField("image")]

    @property
    def end(self) -> events_pb2.EndOfStream | None:
        """The end, when it has come."""
        return next((message.end for message in self.messages if message.HasField("end")), None)

    async def read(self, *, block_s: float = 0.0) -> list[events_pb2.FrameCaptured]:
        """What is new."""
        new = []
        for entry in await self._bus.read({self._key: self._cursor}, count=1000, block_s=block_s):
            self._cursor = entry.id
            message = events_pb2.FrameCaptured.FromString(entry.payload)
            if message.stream_id == self._stream:
                new.append(message)
        self.messages += new
        return new

    async def until(self, *, frames: int = 0, end: bool = False, within_s: float = 10.0) -> None:
        """Reads on until so many frames are there, or the end."""

        async def there() -> bool:
            await self.read()
            return (bool(self.end) if end else True) and len(self.frames) >= frames

        await until(there, within_s=within_s)


class FakeDecoder:
    """Decides what comes, as far as the registry shows: settles every message, and closes the stream at its end."""

    def __init__(self, registry: Registry, log: FrameLog) -> None:
        self._registry = registry
        self._log = log

    async def run(self) -> None:
        """Until the end of the stream."""
        while True:
            for message in await self._log.read(block_s=0.05):
                await settle(self._registry, message)
                if message.HasField("end"):
                    await close(self._registry, message)
                    return


async def settle(registry: Registry, message: events_pb2.FrameCaptured) -> None:
    """Everything up to this message is decided."""
    await registry.note_decided(
        StreamId(message.stream_id),
        epoch=1,
        sequence=message.sequence,
        pts_ns=message.pts_ns,
        event_sequence=message.sequence,
    )


async def close(registry: Registry, message: events_pb2.FrameCaptured) -> None:
    """Brings the stream to its final state."""
    final = {
        events_pb2.END_REASON_SOURCE_ENDED: common_pb2.STREAM_STATE_ENDED,
        events_pb2.END_REASON_STOPPED: common_pb2.STREAM_STATE_STOPPED,
        events_pb2.END_REASON_FAILED: common_pb2.STREAM_STATE_FAILED,
    }[message.end.reason]
    await registry.move(StreamId(message.stream_id), final, reason=message.end.error.message)
