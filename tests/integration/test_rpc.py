"""Servers and channels on the loopback, with two of our services."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from livestar.api.v1 import decoder_pb2, decoder_pb2_grpc, vision_pb2, vision_pb2_grpc
from livestar.core import errors
from livestar.core.errors import (
    BadVideo,
    CapacityExceeded,
    DeadlineExceeded,
    InvalidInput,
    LeaseLost,
    LiveStarError,
    NotFound,
    Unavailable,
)
from livestar.obs import Metrics, current_trace_id, span
from livestar.rpc import Channels, RpcServer, answers, retrying
from livestar.wire.errors import error_info, from_error_info

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
Describe = Callable[[], Awaitable[str]]


class Vision(vision_pb2_grpc.VisionServiceServicer):
    def __init__(self, describe: Describe) -> None:
        self._describe = describe

    async def Describe(self, request: object, context: object) -> vision_pb2.DescribeResponse:  # type: ignore[override]
        return vision_pb2.DescribeResponse(model_id=await self._describe())


class Decoder(decoder_pb2_grpc.DecoderServiceServicer):
    """Counts upwards, for ever; fails behind as many pieces as the question has characters, if it starts with 'f'."""

    hung_up = False

    async def Ask(  # type: ignore[override]
        self, request: decoder_pb2.AskRequest, context: object
    ) -> AsyncIterator[decoder_pb2.AskResponse]:
        number = 0
        try:
            while True:
                yield decoder_pb2.AskResponse(piece=str(number))
                number += 1
                if request.text.startswith("f") and number == len(request.text):
                    raise NotFound("there is no stream 'x': create it first")
                await asyncio.sleep(0.01)
        except (asyncio.CancelledError, GeneratorExit):
            self.hung_up = True
            raise

    Stand = RemoveChannel = Cancel = InspectStream = ReleaseStream = None  # type: ignore[assignment]


class System:
    def __init__(self, describe: Describe) -> None:
        self.served, self.called = Metrics("vision"), Metrics("gateway")
        self.decoder = Decoder()
        self.server = RpcServer(self.served, host="127.0.0.1", port=0, max_calls=8)
        self.server.add(
            vision_pb2_grpc.add_VisionServiceServicer_to_server, Vision(describe), vision_pb2.DESCRIPTOR
        )
        self.server.add(
            decoder_pb2_grpc.add_DecoderServiceServicer_to_server, self.decoder, decoder_pb2.DESCRIPTOR
        )
        self.channels = Channels(self.called, timeout_s=3, stream_timeout_s=10)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    async def describe(self, timeout_s: float | None = None) -> str:
        stub = vision_pb2_grpc.VisionServiceStub(await self.channels.to(self.address))
        return (await stub.Describe(vision_pb2.DescribeRequest(), timeout=timeout_s)).model_id

    async def ask(
        self, text: str = ""
    ) -> aio.UnaryStreamCall[decoder_pb2.AskRequest, decoder_pb2.AskResponse]:
        stub = decoder_pb2_grpc.DecoderServiceStub(await self.channels.to(self.address))
        return stub.Ask(decoder_pb2.AskRequest(text=text))


@asynccontextmanager
async def running(describe: Describe) -> AsyncIterator[System]:
    system = System(describe)
    await system.server.start()
    await system.server.set_serving(serving=True)
    try:
        yield system
    finally:
        await system.channels.close()
        await system.server.stop(0)


def raising(error: Exception) -> Describe:
    async def describe() -> str:
        raise error

    return describe


async def name() -> str:
    return "nano"


async def test_a_call_arrives_with_its_trace_and_is_measured_on_both_sides() -> None:
    async def traced() -> str:
        return current_trace_id() or "none"

    async with running(traced) as system:
        assert await system.describe() == "none"
        with span("work", f"00-{TRACE}-00f067aa0ba902b7-01"):
            assert await system.describe() == TRACE
        labels = {"method": "VisionService/Describe", "code": "OK"}
        assert system.served.value("livestar_vision_rpc_served_seconds_count", **labels) == 2
        assert system.called.value("livestar_gateway_rpc_called_seconds_count", **labels) == 2


@pytest.mark.parametrize(
    "kind",
    [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LiveStarError)],
)
async def test_every_error_of_the_tree_crosses_the_wire_as_itself(kind: type[LiveStarError]) -> None:
    assert type(from_error_info(error_info(kind("why")))) is kind
    assert error_info(kind("why")).retryable is kind.retryable
    async with running(raising(kind("do this: 'ä'"))) as system:
        with pytest.raises(LiveStarError) as caught:
            await system.describe()
        assert type(caught.value) is kind
        assert str(caught.value) == "do this: 'ä'"
        async with aio.insecure_channel(system.address) as channel:
            with pytest.raises(aio.AioRpcError) as foreign:
                await vision_pb2_grpc.VisionServiceStub(channel).Describe(vision_pb2.DescribeRequest())
        assert foreign.value.code() is grpc.StatusCode[kind.grpc_code]
        assert foreign.value.details() == "do this: 'ä'"


async def test_what_we_did_not_foresee_is_logged_here_and_told_to_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(raising(KeyError("secret"))) as system:
        with pytest.raises(LiveStarError, match="see the service's log") as caught:
            await system.describe()
        assert type(caught.value) is LiveStarError
        assert "secret" not in str(caught.value)
    assert "KeyError: 'secret'" in caplog.text
    labels = {"method": "VisionService/Describe", "code": "INTERNAL"}
    assert system.served.value("livestar_vision_rpc_served_seconds_count", **labels) == 1


async def test_errors_on_purpose_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "livestar")
    async with running(raising(BadVideo("no video"))) as system:
        with pytest.raises(BadVideo):
            await system.describe()
    assert caplog.text == ""


async def test_every_call_has_a_deadline() -> None:
    async def sleep() -> str:
        await asyncio.sleep(60)
        return ""

    async with running(sleep) as system:
        system.channels = Channels(Metrics("other"), timeout_s=0.2)
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="did not answer in time"):
            await system.describe()
        with pytest.raises(DeadlineExceeded):
            await system.describe(timeout_s=0.1)
        assert time.monotonic() - started < 3


async def test_nobody_there_is_unavailable_at_once() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    async with Channels(Metrics("gateway")) as channels:
        stub = vision_pb2_grpc.VisionServiceStub(await channels.to(address))
        with pytest.raises(Unavailable, match=f"{address} does not answer"):
            await stub.Describe(vision_pb2.DescribeRequest())


async def test_answers_stream_and_errors_behind_them_keep_their_class() -> None:
    async with running(name) as system:
        pieces: list[str] = []

        async def read() -> None:
            async for answer in await system.ask("fff"):
                pieces.append(answer.piece)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(NotFound, match="no stream 'x'"):
            await read()
        assert pieces == ["0", "1", "2"]
        labels = {"method": "DecoderService/Ask", "code": "NOT_FOUND"}
        assert system.served.value("livestar_vision_rpc_served_seconds_count", **labels) == 1
        assert system.called.value("livestar_gateway_rpc_called_seconds_count", **labels) == 1


async def test_hanging_up_is_seen_on_the_other_side() -> None:
    async with running(name) as system:
        async with answers(await system.ask()) as pieces:
            async for answer in pieces:
                if answer.piece == "3":
                    break
        async with asyncio.timeout(3):
            while not system.decoder.hung_up:
                await asyncio.sleep(0.01)


async def test_cancelling_the_reader_cancels_the_call() -> None:
    async with running(name) as system:
        call = await system.ask()

        async def read() -> None:
            async with answers(call) as pieces:
                async for _ in pieces:
                    pass

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        async with asyncio.timeout(3):
            while not system.decoder.hung_up:
                await asyncio.sleep(0.01)


async def test_more_calls_than_allowed_are_refused() -> None:
    async with running(name) as system:
        calls = [await system.ask() for _ in range(8)]
        for call in calls:
            await call.__aiter__().__anext__()
        with pytest.raises(CapacityExceeded):
            await system.describe()
        for call in calls:
            call.cancel()


async def test_health_and_reflection_tell_the_truth() -> None:
    async with running(name) as system:
        channel = await system.channels.to(system.address)
        health = health_pb2_grpc.HealthStub(channel)
        asked = health_pb2.HealthCheckRequest(service="livestar.v1.VisionService")
        assert (await health.Check(asked)).status == health_pb2.HealthCheckResponse.SERVING
        await system.server.set_serving(serving=False)
        assert (await health.Check(asked)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        everything = health_pb2.HealthCheckRequest()
        assert (await health.Check(everything)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        reflected = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        answer = await reflected.__aiter__().__anext__()
        names = {service.name for service in answer.list_services_response.service}
        assert {"livestar.v1.VisionService", "livestar.v1.DecoderService", "grpc.health.v1.Health"} <= names


async def test_stopping_lets_a_call_finish_within_its_grace_and_refuses_new_ones() -> None:
    entered = asyncio.Event()

    async def slow() -> str:
        entered.set()
        await asyncio.sleep(0.3)
        return "done"

    async with running(slow) as system:
        calling = asyncio.create_task(system.describe())
        await entered.wait()
        stopping = asyncio.create_task(system.server.stop(5))
        await asyncio.sleep(0.1)
        with pytest.raises(Unavailable):
            await system.describe()
        assert await calling == "done"
        await asyncio.wait_for(stopping, 3)


async def test_a_port_in_use_is_said() -> None:
    async with running(name) as system:
        other = RpcServer(Metrics("other"), host="127.0.0.1", port=system.server.port)
        with pytest.raises(Unavailable, match=f"{system.address} cannot be listened on"):
            await other.start()


async def test_retrying_ends_with_success_with_what_cannot_pass_or_with_time() -> None:
    failures: list[LiveStarError] = [Unavailable("a"), CapacityExceeded("b")]

    async def call() -> str:
        if failures:
            raise failures.pop(0)
        return "done"

    assert await retrying(call, give_up_s=5) == "done"
    failures[:] = [Unavailable("a"), LeaseLost("b")]
    with pytest.raises(LeaseLost):
        await retrying(call, give_up_s=5)
    failures[:] = [Unavailable(str(number)) for number in range(100)]
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await retrying(call, give_up_s=0.3)
    assert time.monotonic() - started < 2


async def test_a_message_as_large_as_a_trunk_of_visual_tokens_passes() -> None:
    large = "x" * (8 * 2**20)

    async def describe() -> str:
        return large

    async with running(describe) as system:
        assert await system.describe() == large


def test_an_error_that_nobody_knows_is_still_an_error() -> None:
    info = error_info(InvalidInput("x"))
    info.reason = "FromTheFuture"
    assert type(from_error_info(info)) is LiveStarError
