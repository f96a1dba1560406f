"""The same over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio

from fakes.decoder_service import ANSWER
from fakes.gateway import RunningGateway, running_gateway
from livestar.api.v1 import common_pb2, decoder_pb2, gateway_pb2, gateway_pb2_grpc
from livestar.bus import EmbeddedRedis, RedisLink
from livestar.core.errors import AlreadyExists, CapacityExceeded, InvalidInput, NotFound, Unauthenticated
from livestar.obs import Metrics
from livestar.rpc import Channels

pytestmark = [pytest.mark.integration, pytest.mark.anyio]


@pytest.fixture
async def stub(gateway: RunningGateway) -> AsyncIterator[gateway_pb2_grpc.GatewayServiceAsyncStub]:
    async with Channels(Metrics("client")) as channels:
        yield gateway_pb2_grpc.GatewayServiceStub(await channels.to(gateway.grpc))


Stub = gateway_pb2_grpc.GatewayServiceStub


async def test_a_stream_from_its_creation_to_its_end(gateway: RunningGateway, stub: Stub) -> None:
    spec = common_pb2.StreamSpec(stream_id="door", source="rtsp://u:hunter2@camera/1")
    created = (await stub.CreateStream(gateway_pb2.CreateStreamRequest(spec=spec))).stream
    assert (created.spec.source, created.spec.fps) == ("rtsp://camera/1", 1.0)
    assert (await stub.GetStream(gateway_pb2.GetStreamRequest(stream_id="door"))).stream == created
    assert list((await stub.ListStreams(gateway_pb2.ListStreamsRequest())).streams) == [created]
    stopped = (await stub.StopStream(gateway_pb2.StopStreamRequest(stream_id="door"))).stream
    assert stopped.state == common_pb2.STREAM_STATE_STOPPED


async def test_errors_keep_their_class(gateway: RunningGateway, stub: Stub) -> None:
    with pytest.raises(NotFound, match="'none'"):
        await stub.GetStream(gateway_pb2.GetStreamRequest(stream_id="none"))
    with pytest.raises(InvalidInput, match="stream id"):
        await stub.GetStream(gateway_pb2.GetStreamRequest(stream_id="../x"))
    with pytest.raises(InvalidInput, match="page_size"):
        await stub.ListStreams(gateway_pb2.ListStreamsRequest(page_size=1001))
    await gateway.stream()
    other = common_pb2.StreamSpec(stream_id="door", source="x.mp4")
    with pytest.raises(AlreadyExists):
        await stub.CreateStream(gateway_pb2.CreateStreamRequest(spec=other))


async def test_events_come_from_a_cursor_to_the_end(gateway: RunningGateway, stub: Stub) -> None:
    teller = await gateway.stream()
    await teller.state("starting")
    for _ in range(5):
        teller.next_frame()
        await teller.silent()
    await teller.speak("A car.")
    await teller.state("ended")
    request = gateway_pb2.WatchStreamRequest(stream_id="door", after_sequence=2)
    events = [answer.event async for answer in stub.WatchStream(request)]
    assert [event.sequence for event in events] == list(range(3, teller.sequence + 1))
    request.speech_only = True
    spoken = [answer.event async for answer in stub.WatchStream(request)]
    assert [event.WhichOneof("body") for event in spoken] == ["decision", "state_changed"]


async def read_on(call: aio.UnaryStreamCall[Any, gateway_pb2.WatchStreamResponse], seen: list[int]) -> None:
    while isinstance(answer := await call.read(), gateway_pb2.WatchStreamResponse):
        seen.append(answer.event.sequence)


async def test_who_does_not_keep_up_is_refused_the_rest(
    redis_server: EmbeddedRedis, redis_link: RedisLink
) -> None:
    async with (
        running_gateway(redis_server.url, max_queue=16) as gateway,
        aio.insecure_channel(gateway.grpc) as channel,
    ):
        teller = await gateway.stream()
        await teller.state("starting")
        stub = gateway_pb2_grpc.GatewayServiceStub(channel)
        call = stub.WatchStream(gateway_pb2.WatchStreamRequest(stream_id="door"))
        assert (await call.read()).event.sequence == 1
        async with asyncio.timeout(20):
            while not gateway.metrics.value("livestar_gateway_lagging_total"):
                await teller.speak("word " * 20_000, pieces=False)
        seen = [1]
        with pytest.raises(aio.AioRpcError) as refused:
            await read_on(call, seen)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert seen == list(range(1, len(seen) + 1))
        assert len(seen) < teller.sequence


async def test_questions_and_channels(gateway: RunningGateway, stub: Stub) -> None:
    await gateway.stream()
    question = decoder_pb2.AskRequest(stream_id="door", text="How many?")
    replies = [
        answer.reply async for answer in stub.AskStream(gateway_pb2.AskStreamRequest(question=question))
    ]
    assert replies[-1].answer.text == "".join(reply.piece for reply in replies) == "".join(ANSWER)
    channel = common_pb2.ChannelSpec(text="How many cars?")
    request = gateway_pb2.OpenChannelRequest(stream_id="door", channel=channel)
    name = (await stub.OpenChannel(request)).channel
    assert list(gateway.decoder.channels["door"]) == [name]
    await stub.CloseChannel(gateway_pb2.CloseChannelRequest(stream_id="door", channel=name))
    assert gateway.decoder.channels["door"] == {}
    gateway.decoder.refusals += [CapacityExceeded("full")] * 100
    with pytest.raises(CapacityExceeded):
        await stub.OpenChannel(request)


async def test_a_token_is_wanted_where_one_is_set(redis_server: EmbeddedRedis, redis_link: RedisLink) -> None:
    async with (
        running_gateway(redis_server.url, token="secret") as gateway,
        Channels(Metrics("client")) as channels,
    ):
        stub = gateway_pb2_grpc.GatewayServiceStub(await channels.to(gateway.grpc))
        request = gateway_pb2.ListStreamsRequest()
        for metadata in ((), (("authorization", "Bearer wrong"),)):
            with pytest.raises(Unauthenticated, match="authorization"):
                await stub.ListStreams(request, metadata=metadata)
        with pytest.raises(Unauthenticated):
            _ = [event async for event in stub.WatchStream(gateway_pb2.WatchStreamRequest(stream_id="x"))]
        await stub.ListStreams(request, metadata=(("authorization", "Bearer secret"),))
