"""What can be done with streams: the one place behind both HTTP and gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from livestar.api.v1 import common_pb2, decoder_pb2, ingest_pb2
from livestar.bus import Page, Registry, check_channel, checked
from livestar.bus.specification import MAX_TEXT_CHARS
from livestar.core.errors import BadVideo, DeadlineExceeded, InvalidInput, LiveStarError, NotFound
from livestar.core.ids import NARRATION, StreamId, channel_id, stream_id
from services.gateway.fanout import Hub
from services.gateway.metrics import GatewayMetrics
from services.gateway.owners import Owners
from services.gateway.source_address import check_source

MAX_PAGE = 1000
MAX_CHAIN_CHARS = 64


@dataclass(frozen=True)
class Inspection:
    """A stream, and what the processes that work on it say of it just now.

    Attributes:
        info: as the registry has it.
        decoder: as its decoder sees it; None: there is none, or it is silent.
        capture: as its ingest sees it; likewise.
        num_subscribers: at this gateway.
    """

    info: common_pb2.StreamInfo
    decoder: decoder_pb2.InspectStreamResponse | None
    capture: ingest_pb2.Capture | None
    num_subscribers: int


class Streams:
    """Creates, shows, stops and asks.

    Args:
        registry: which streams there are.
        owners: who works on them.
        hub: who listens to them.
        metrics: of the gateway.
        probe_s: what a source gets to show its first frame.
    """

    def __init__(
        self, registry: Registry, owners: Owners, hub: Hub, metrics: GatewayMetrics, *, probe_s: float
    ) -> None:
        self._registry = registry
        self._owners = owners
        self._hub = hub
        self._metrics = metrics
        self._probe_s = probe_s

    async def create(self, spec: common_pb2.StreamSpec, *, probe: bool) -> common_pb2.StreamInfo:
        """Registers a stream; ingest and decoder take it within moments.

        Args:
            spec: what to watch.
            probe: look at the source first.

        Raises:
            InvalidInput: naming the field.
            BadVideo: the source cannot be watched.
            AlreadyExists: the id is taken by another specification.
        """
        complete = checked(spec)
        check_source(complete.source)
        if probe and not await self._exists(StreamId(complete.stream_id)):
            try:
                await self._owners.probe(complete.source, timeout_s=self._probe_s)
            except DeadlineExceeded:
                raise BadVideo(
                    f"the source showed no frame within {self._probe_s:g} s: check that it plays, or create without a probe"
                ) from None
        return await self._registry.create(complete)

    async def get(self, name: str) -> common_pb2.StreamInfo:
        """One stream.

        Raises:
            NotFound: there is none of this id.
        """
        return await self._registry.get(stream_id(name))

    async def inspect(self, name: str) -> Inspection:
        """One stream with live figures.

        Raises:
            NotFound: there is none of this id.
        """
        stream = stream_id(name)
        info = await self._registry.get(stream)
        decoder, capture = await asyncio.gather(self._owners.inspect(stream), self._owners.capture(stream))
        return Inspection(info, decoder, capture, self._hub.num_subscribers(stream))

    async def page(self, *, limit: int, token: str) -> Page:
        """Streams, newest first.

        Raises:
            InvalidInput: a page size or token that cannot work.
        """
        if not 0 <= limit <= MAX_PAGE:
            raise InvalidInput(f"page_size has to be from 1 to {MAX_PAGE}")
        return await self._registry.page(limit=limit or 100, token=token)

    async def stop(self, name: str) -> common_pb2.StreamInfo:
        """Asks for the end of a stream; what is under way is still decided.

        Raises:
            NotFound: there is none of this id.
        """
        stream = stream_id(name)
        info = await self._registry.stop(stream, reason="stopped by a caller")
        await self._owners.stop_capture(stream)
        return info

    async def delete(self, name: str) -> None:
        """Stops a stream and removes everything that is kept of it. One that is not there is fine.

        Raises:
            Unavailable: no memory service lives; the stream is stopped.
        """
        stream = stream_id(name)
        try:
            await self.stop(name)
        except NotFound:
            return
        await self._owners.forget(stream)
        await self._registry.delete(stream)

    @asynccontextmanager
    async def ask(
        self, name: str, text: str, chain: str
    ) -> AsyncIterator[AsyncIterator[decoder_pb2.AskResponse]]:
        """Asks about what has been seen; see `Owners.ask`.

        Raises:
            InvalidInput: a question that cannot be asked.
        """
        stream = stream_id(name)
        if not text.strip() or len(text) > MAX_TEXT_CHARS:
            raise InvalidInput(f"a question has 1 to {MAX_TEXT_CHARS} characters")
        if len(chain) > MAX_CHAIN_CHARS:
            raise InvalidInput(f"chain has at most {MAX_CHAIN_CHARS} characters")
        await self._registry.get(stream)
        request = decoder_pb2.AskRequest(stream_id=stream, text=text, chain=chain)
        ended = "hung_up"
        started_s = asyncio.get_running_loop().time()

        async def watched(
            replies: AsyncIterator[decoder_pb2.AskResponse],
        ) -> AsyncIterator[decoder_pb2.AskResponse]:
            nonlocal ended
            async for reply in replies:
                if reply.HasField("answer"):
                    ended = "answered"
                    self._metrics.answer.observe(asyncio.get_running_loop().time() - started_s)
                yield reply

        try:
            async with self._owners.ask(request) as replies:
                yield watched(replies)
        except LiveStarError as error:
            ended = type(error).__name__
            raise
        finally:
            self._metrics.questions.labels(ended).inc()

    async def open_channel(self, name: str, channel: common_pb2.ChannelSpec) -> str:
        """Opens a standing question or a probe; returns its name.

        Raises:
            NotFound: there is no such stream.
            InvalidInput: naming the field.
            AlreadyExists: the name is taken.
        """
        stream = stream_id(name)
        named = common_pb2.ChannelSpec()
        named.CopyFrom(channel)
        named.channel = channel.channel or "unnamed"
        check_channel(named)
        await self._registry.get(stream)
        return await self._owners.stand(decoder_pb2.StandRequest(stream_id=stream, channel=channel))

    async def close_channel(self, name: str, channel: str) -> None:
        """Closes a standing question or a probe.

        Raises:
            NotFound: there is no such stream or channel.
            InvalidInput: the narration stays open.
        """
        stream = stream_id(name)
        if channel_id(channel) == NARRATION:
            raise InvalidInput("the narration cannot be closed: stop the stream instead")
        await self._registry.get(stream)
        await self._owners.remove_channel(decoder_pb2.RemoveChannelRequest(stream_id=stream, channel=channel))

    async def _exists(self, stream: StreamId) -> bool:
        try:
            await self._registry.get(stream)
        except NotFound:
            return False
        return True
