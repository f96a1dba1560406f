"""A decoder that answers over real gRPC, with canned answers, and tells what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

from livestar.api.v1 import common_pb2, decoder_pb2, decoder_pb2_grpc, events_pb2
from livestar.bus import Leases, Role
from livestar.core.errors import AlreadyExists, LiveStarError, NotFound
from livestar.core.ids import StreamId
from livestar.obs import Metrics
from livestar.rpc import RpcServer

ANSWER = ("Two ", "cars ", "are parked.")


class FakeDecoder(decoder_pb2_grpc.DecoderServiceServicer):
    """Serves while it is entered; `own` takes a stream's lease.

    Attributes:
        answer: the pieces of every answer.
        pause_s: before each piece.
        refusals: raised by the next calls, one each.
        asked: questions that came.
        cancelled: questions whose caller hung up.
        channels: open channels, by stream.
    """

    def __init__(self, leases: Leases) -> None:
        self.answer: tuple[str, ...] = ANSWER
        self.pause_s = 0.0
        self.refusals: list[LiveStarError] = []
        self.asked: list[decoder_pb2.AskRequest] = []
        self.cancelled: list[str] = []
        self.channels: dict[str, dict[str, common_pb2.ChannelSpec]] = {}
        self.held: dict[tuple[str, str], str] = {}
        self._leases = leases
        self._server = RpcServer(Metrics("decoder"), host="127.0.0.1", port=0)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.port}"

    async def own(self, stream: str) -> None:
        await self._leases.acquire(
            Role.DECODER, StreamId(stream), owner="fake", address=self.address, ttl_s=600
        )
        self.channels.setdefault(stream, {})

    async def __aenter__(self) -> Self:
        add = decoder_pb2_grpc.add_DecoderServiceServicer_to_server
        self._server.add(add, self, decoder_pb2.DESCRIPTOR)
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.stop(0.1)

    async def Ask(self, request: decoder_pb2.AskRequest, _: Any) -> AsyncIterator[decoder_pb2.AskResponse]:
        self._refuse()
        self.asked.append(request)
        number = len(self.asked)
        place: dict[str, Any] = {"frame_sequence": 7, "pts_ns": 6_000_000_000}
        asked = events_pb2.QuestionAsked(question_id=number, text=request.text, chain=request.chain)
        try:
            yield decoder_pb2.AskResponse(asked=asked, **place)
            for piece in self.answer:
                await asyncio.sleep(self.pause_s)
                yield decoder_pb2.AskResponse(piece=piece, **place)
            answer = events_pb2.Answer(
                question_id=number, text="".join(self.answer), ending=events_pb2.ENDING_COMPLETE
            )
            yield decoder_pb2.AskResponse(answer=answer, **place)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.append(request.text)
            raise

    async def Stand(self, request: decoder_pb2.StandRequest, _: Any) -> decoder_pb2.StandResponse:
        self._refuse()
        channels = self.channels.setdefault(request.stream_id, {})
        name = request.channel.channel or f"channel-{len(channels) + 1}"
        if name in channels:
            raise AlreadyExists(f"there is a channel '{name}': close it first")
        channels[name] = request.channel
        return decoder_pb2.StandResponse(channel=name)

    async def RemoveChannel(
        self, request: decoder_pb2.RemoveChannelRequest, _: Any
    ) -> decoder_pb2.RemoveChannelResponse:
        if self.channels.get(request.stream_id, {}).pop(request.channel, None) is None:
            raise NotFound(f"there is no channel '{request.channel}'")
        return decoder_pb2.RemoveChannelResponse()

    async def Cancel(self, _request: decoder_pb2.CancelRequest, _: Any) -> decoder_pb2.CancelResponse:
        return decoder_pb2.CancelResponse()

    async def InspectStream(
        self, request: decoder_pb2.InspectStreamRequest, _: Any
    ) -> decoder_pb2.InspectStreamResponse:
        self._refuse()
        stream = request.stream_id
        views = [decoder_pb2.ChannelView(channel="narration", kind=common_pb2.CHANNEL_KIND_NARRATION)]
        views += [
            decoder_pb2.ChannelView(
                channel=name,
                kind=common_pb2.CHANNEL_KIND_STANDING,
                text=spec.text,
                held_text=self.held.get((stream, name), ""),
            )
            for name, spec in self.channels.get(stream, {}).items()
        ]
        return decoder_pb2.InspectStreamResponse(
            epoch=1, decided_sequence=7, num_trunk_tokens=203, max_trunk_tokens=4096, channels=views
        )

    async def ReleaseStream(
        self, _request: decoder_pb2.ReleaseStreamRequest, _: Any
    ) -> decoder_pb2.ReleaseStreamResponse:
        return decoder_pb2.ReleaseStreamResponse()

    def _refuse(self) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
