"""GatewayService: gRPC to domain and back, no logic."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from typing import Any

from grpc import aio

from livestar.api.v1 import gateway_pb2, gateway_pb2_grpc
from livestar.core.errors import Unauthenticated
from livestar.core.ids import stream_id
from services.gateway.fanout import Hub
from services.gateway.metrics import GatewayMetrics
from services.gateway.streams import Streams

Context = aio.ServicerContext[Any, Any]


class GatewayRpc(gateway_pb2_grpc.GatewayServiceServicer):
    """See the proto.

    Args:
        streams: what can be done with streams.
        hub: who listens to them.
        metrics: of the gateway.
        token: every call has to bring it in its metadata, `authorization: Bearer …`; empty: everybody may call.
    """

    def __init__(self, streams: Streams, hub: Hub, metrics: GatewayMetrics, *, token: str) -> None:
        self._streams = streams
        self._hub = hub
        self._metrics = metrics
        self._token = token.encode()

    async def CreateStream(
        self, request: gateway_pb2.CreateStreamRequest, context: Context
    ) -> gateway_pb2.CreateStreamResponse:
        """See the proto."""
        self._admit(context)
        return gateway_pb2.CreateStreamResponse(stream=await self._streams.create(request.spec, probe=True))

    async def GetStream(
        self, request: gateway_pb2.GetStreamRequest, context: Context
    ) -> gateway_pb2.GetStreamResponse:
        """See the proto."""
        self._admit(context)
        return gateway_pb2.GetStreamResponse(stream=await self._streams.get(request.stream_id))

    async def ListStreams(
        self, request: gateway_pb2.ListStreamsRequest, context: Context
    ) -> gateway_pb2.ListStreamsResponse:
        """See the proto."""
        self._admit(context)
        page = await self._streams.page(limit=request.page_size, token=request.page_token)
        return gateway_pb2.ListStreamsResponse(streams=page.streams, next_page_token=page.next_token)

    async def StopStream(
        self, request: gateway_pb2.StopStreamRequest, context: Context
    ) -> gateway_pb2.StopStreamResponse:
        """See the proto."""
        self._admit(context)
        return gateway_pb2.StopStreamResponse(stream=await self._streams.stop(request.stream_id))

    async def DeleteStream(
        self, request: gateway_pb2.DeleteStreamRequest, context: Context
    ) -> gateway_pb2.DeleteStreamResponse:
        """See the proto."""
        self._admit(context)
        await self._streams.delete(request.stream_id)
        return gateway_pb2.DeleteStreamResponse()

    async def WatchStream(
        self, request: gateway_pb2.WatchStreamRequest, context: Context
    ) -> AsyncIterator[gateway_pb2.WatchStreamResponse]:
        """See the proto."""
        self._admit(context)
        subscription = await self._hub.subscribe(
            stream_id(request.stream_id),
            after=None if request.from_now else request.after_sequence,
            speech_only=request.speech_only,
            transport="grpc",
        )
        sent = self._metrics.events_sent.labels("grpc")
        async with subscription:
            async for told in subscription.events():
                if told:
                    yield gateway_pb2.WatchStreamResponse(event=told.event)
                    sent.inc()

    async def AskStream(
        self, request: gateway_pb2.AskStreamRequest, context: Context
    ) -> AsyncIterator[gateway_pb2.AskStreamResponse]:
        """See the proto."""
        self._admit(context)
        question = request.question
        async with self._streams.ask(question.stream_id, question.text, question.chain) as replies:
            async for reply in replies:
                yield gateway_pb2.AskStreamResponse(reply=reply)

    async def OpenChannel(
        self, request: gateway_pb2.OpenChannelRequest, context: Context
    ) -> gateway_pb2.OpenChannelResponse:
        """See the proto."""
        self._admit(context)
        name = await self._streams.open_channel(request.stream_id, request.channel)
        return gateway_pb2.OpenChannelResponse(channel=name)

    async def CloseChannel(
        self, request: gateway_pb2.CloseChannelRequest, context: Context
    ) -> gateway_pb2.CloseChannelResponse:
        """See the proto."""
        self._admit(context)
        await self._streams.close_channel(request.stream_id, request.channel)
        return gateway_pb2.CloseChannelResponse()

    def _admit(self, context: Context) -> None:
        if not self._token:
            return
        given = dict(context.invocation_metadata() or ()).get("authorization", "")
        text = given if isinstance(given, str) else given.decode(errors="replace")
        if not hmac.compare_digest(text.removeprefix("Bearer ").encode(), self._token):
            raise Unauthenticated("give this gateway's token in the metadata: authorization: Bearer …")
