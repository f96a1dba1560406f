"""The processes that work on a stream, and calls to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeVar

from grpc import aio

from livestar.api.v1 import (
    decoder_pb2,
    decoder_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    memory_pb2,
    memory_pb2_grpc,
)
from livestar.bus import FINAL, Address, Directory, Leases, Registry, Role
from livestar.core.errors import FailedPrecondition, LiveStarError, Unavailable
from livestar.core.ids import StreamId
from livestar.rpc import Channels, answers, retrying

T = TypeVar("T")
Asking: TypeAlias = "aio.UnaryStreamCall[decoder_pb2.AskRequest, decoder_pb2.AskResponse]"

FIND_S = 3.0
"""A stream that moves from one process to another has no owner for a moment: so long it is looked for."""

GLANCE_S = 1.5
"""What a process gets to say how a stream is doing."""


class Owners:
    """Finds who owns a stream, by its lease, and asks there.

    Args:
        registry: which streams there are.
        leases: who owns them.
        directory: which processes live.
        channels: to reach them.
        answer_s: what an answer to a question gets.
    """

    def __init__(
        self,
        registry: Registry,
        leases: Leases,
        directory: Directory,
        channels: Channels,
        *,
        answer_s: float,
    ) -> None:
        self._registry = registry
        self._leases = leases
        self._directory = directory
        self._channels = channels
        self._answer_s = answer_s

    @asynccontextmanager
    async def ask(
        self, request: decoder_pb2.AskRequest
    ) -> AsyncIterator[AsyncIterator[decoder_pb2.AskResponse]]:
        """Asks a question; the answers stream within, and leaving hangs up. The question has been taken on entering.

        Raises:
            NotFound: there is no such stream.
            FailedPrecondition: it is over.
            Unavailable: nobody decides it just now.
            DeadlineExceeded: no answer in time.
        """
        call, replies, first = await retrying(lambda: self._begin(request), give_up_s=FIND_S)

        async def all_of_them() -> AsyncIterator[decoder_pb2.AskResponse]:
            yield first
            async for reply in replies:
                yield reply

        async with answers(call):
            yield all_of_them()

    async def stand(self, request: decoder_pb2.StandRequest) -> str:
        """Opens a channel; returns its name."""

        async def once() -> decoder_pb2.StandResponse:
            stub = decoder_pb2_grpc.DecoderServiceStub(await self._decoder(StreamId(request.stream_id)))
            return await stub.Stand(request)

        return (await retrying(once, give_up_s=FIND_S)).channel

    async def remove_channel(self, request: decoder_pb2.RemoveChannelRequest) -> None:
        """Closes a channel."""

        async def once() -> None:
            stub = decoder_pb2_grpc.DecoderServiceStub(await self._decoder(StreamId(request.stream_id)))
            await stub.RemoveChannel(request)

        await retrying(once, give_up_s=FIND_S)

    async def inspect(self, stream: StreamId) -> decoder_pb2.InspectStreamResponse | None:
        """How its decoder sees it; None: it does not say so in time, or there is none."""

        async def look() -> decoder_pb2.InspectStreamResponse | None:
            lease = await self._leases.inspect(Role.DECODER, stream)
            if lease is None:
                return None
            stub = decoder_pb2_grpc.DecoderServiceStub(await self._channels.to(lease.address))
            return await stub.InspectStream(
                decoder_pb2.InspectStreamRequest(stream_id=stream), timeout=GLANCE_S
            )

        return await _if_possible(look)

    async def capture(self, stream: StreamId) -> ingest_pb2.Capture | None:
        """How its ingest sees it; None as in `inspect`."""

        async def look() -> ingest_pb2.Capture | None:
            lease = await self._leases.inspect(Role.INGEST, stream)
            if lease is None:
                return None
            stub = ingest_pb2_grpc.IngestServiceStub(await self._channels.to(lease.address))
            listed = await stub.ListStreams(ingest_pb2.IngestServiceListStreamsRequest(), timeout=GLANCE_S)
            return next((capture for capture in listed.captures if capture.stream_id == stream), None)

        return await _if_possible(look)

    async def probe(self, source: str, *, timeout_s: float) -> None:
        """Passes when some ingest can show a frame of the source, or when none lives that could.

        Raises:
            BadVideo: the source cannot be watched.
            DeadlineExceeded: it shows nothing in time.
        """
        for address in await self._directory.find("ingest"):
            stub = ingest_pb2_grpc.IngestServiceStub(await self._channels.to(address.grpc))
            try:
                await stub.ProbeSource(ingest_pb2.ProbeSourceRequest(source=source), timeout=timeout_s)
            except Unavailable:
                continue
            return

    async def stop_capture(self, stream: StreamId) -> None:
        """Tells its ingest that it was stopped; without this it sees so in the registry, a moment later."""

        async def tell() -> None:
            if lease := await self._leases.inspect(Role.INGEST, stream):
                stub = ingest_pb2_grpc.IngestServiceStub(await self._channels.to(lease.address))
                request = ingest_pb2.IngestServiceStopStreamRequest(stream_id=stream)
                await stub.StopStream(request, timeout=GLANCE_S)

        await _if_possible(tell)

    async def forget(self, stream: StreamId) -> None:
        """Removes what the memory keeps of a stream.

        Raises:
            Unavailable: no memory service lives.
        """
        living = await self._directory.find("memory")
        if not living:
            raise Unavailable("no memory service runs: start one, then delete the stream again")
        stub = memory_pb2_grpc.MemoryServiceStub(await self._channels.to(living[0].grpc))
        await stub.ForgetStream(memory_pb2.ForgetStreamRequest(stream_id=stream))

    async def previewers(self, stream: StreamId) -> list[Address]:
        """Processes that may hold a stream's preview, the likeliest first."""
        living = [address for address in await self._directory.find("ingest") if address.http]
        lease = await self._leases.inspect(Role.INGEST, stream)
        return sorted(living, key=lambda address: not (lease and address.owner == lease.owner))

    async def _begin(
        self, request: decoder_pb2.AskRequest
    ) -> tuple[Asking, AsyncIterator[decoder_pb2.AskResponse], decoder_pb2.AskResponse]:
        """A call under way, the answers to come, and the first one."""
        stub = decoder_pb2_grpc.DecoderServiceStub(await self._decoder(StreamId(request.stream_id)))
        call = stub.Ask(request, timeout=self._answer_s)
        replies = call.__aiter__()
        try:
            return call, replies, await anext(replies)
        except StopAsyncIteration:
            raise Unavailable("the decoder gave no answer: ask again") from None

    async def _decoder(self, stream: StreamId) -> aio.Channel:
        if lease := await self._leases.inspect(Role.DECODER, stream):
            return await self._channels.to(lease.address)
        info = await self._registry.get(stream)
        if info.state in FINAL:
            raise FailedPrecondition(f"stream '{stream}' is over: nobody can look into it any more")
        raise Unavailable(f"no decoder has taken stream '{stream}' yet: try again in a moment")


async def _if_possible(look: Callable[[], Awaitable[T]]) -> T | None:
    """For what is nice to know: None instead of an error."""
    try:
        return await look()
    except LiveStarError:
        return None
