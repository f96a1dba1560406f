"""gRPC in front of the streams that this process owns."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

from grpc import aio

from livestar.api.v1 import common_pb2, decoder_pb2, decoder_pb2_grpc
from livestar.bus import check_channel
from livestar.core.errors import InvalidInput
from livestar.core.ids import ChannelId, QuestionId, stream_id
from services.decoder.stream_calls import StreamCalls
from services.decoder.streams import Streams

MAX_TEXT_CHARS = 4096
MAX_CHAIN_CHARS = 64


class DecoderRpc(decoder_pb2_grpc.DecoderServiceServicer):
    """See `DecoderService` in the protos."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def Ask(
        self,
        request: decoder_pb2.AskRequest,
        context: aio.ServicerContext[decoder_pb2.AskRequest, decoder_pb2.AskResponse],
    ) -> AsyncIterator[decoder_pb2.AskResponse]:
        """Asks a question."""
        if not 1 <= len(request.text.strip()) <= MAX_TEXT_CHARS or len(request.chain) > MAX_CHAIN_CHARS:
            raise InvalidInput(
                f"a question has 1 to {MAX_TEXT_CHARS} characters, the name of its chain at most {MAX_CHAIN_CHARS}"
            )
        asking = self._calls(request.stream_id).ask(request.text, request.chain or "default")
        async for response in asking:
            yield response

    async def Stand(
        self,
        request: decoder_pb2.StandRequest,
        context: aio.ServicerContext[decoder_pb2.StandRequest, decoder_pb2.StandResponse],
    ) -> decoder_pb2.StandResponse:
        """Opens a standing question or a probe."""
        channel = common_pb2.ChannelSpec()
        channel.CopyFrom(request.channel)
        channel.channel = channel.channel or f"q-{uuid.uuid4().hex[:8]}"
        check_channel(channel)
        await self._calls(request.stream_id).stand(channel)
        return decoder_pb2.StandResponse(channel=channel.channel)

    async def RemoveChannel(
        self,
        request: decoder_pb2.RemoveChannelRequest,
        context: aio.ServicerContext[decoder_pb2.RemoveChannelRequest, decoder_pb2.RemoveChannelResponse],
    ) -> decoder_pb2.RemoveChannelResponse:
        """Closes a standing question or a probe."""
        await self._calls(request.stream_id).remove_channel(ChannelId(request.channel))
        return decoder_pb2.RemoveChannelResponse()

    async def Cancel(
        self,
        request: decoder_pb2.CancelRequest,
        context: aio.ServicerContext[decoder_pb2.CancelRequest, decoder_pb2.CancelResponse],
    ) -> decoder_pb2.CancelResponse:
        """Stops a caption or an answer."""
        calls = self._calls(request.stream_id)
        match request.WhichOneof("source"):
            case "channel":
                await calls.cancel(ChannelId(request.channel))
            case "question_id":
                await calls.cancel(QuestionId(request.question_id))
            case _:
                raise InvalidInput("nothing to cancel: name a channel or a question_id")
        return decoder_pb2.CancelResponse()

    async def InspectStream(
        self,
        request: decoder_pb2.InspectStreamRequest,
        context: aio.ServicerContext[decoder_pb2.InspectStreamRequest, decoder_pb2.InspectStreamResponse],
    ) -> decoder_pb2.InspectStreamResponse:
        """What a stream looks like."""
        return await self._calls(request.stream_id).inspect()

    async def ReleaseStream(
        self,
        request: decoder_pb2.ReleaseStreamRequest,
        context: aio.ServicerContext[decoder_pb2.ReleaseStreamRequest, decoder_pb2.ReleaseStreamResponse],
    ) -> decoder_pb2.ReleaseStreamResponse:
        """Hands a stream over."""
        decided, event = await self._streams.release(stream_id(request.stream_id))
        return decoder_pb2.ReleaseStreamResponse(decided_sequence=decided, event_sequence=event)

    def _calls(self, name: str) -> StreamCalls:
        return StreamCalls(self._streams.owned(stream_id(name)))
