"""A whole gateway in the test's own event loop: real Redis, real HTTP and gRPC ports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr
from services.gateway.gateway import Gateway
from services.gateway.settings import GatewaySettings

from fakes.decoder_service import FakeDecoder
from fakes.storyteller import Storyteller
from livestar.api.v1 import common_pb2
from livestar.bus import (
    Bus,
    Directory,
    Leases,
    Patience,
    RedisLeases,
    RedisLink,
    RedisRegistry,
    RedisStreams,
    Registry,
    checked,
)
from livestar.obs import Metrics
from livestar.rpc import Channels
from livestar.service import Process

FREE_PORTS: dict[str, Any] = {"port": 0, "grpc_port": 0, "http_port": 0}


@dataclass
class RunningGateway:
    """What a test needs.

    Attributes:
        url: of the HTTP edge.
        grpc: address of the gRPC edge.
        http: a client.
        decoder: who answers questions.
    """

    url: str
    grpc: str
    http: httpx.AsyncClient
    process: Process[GatewaySettings]
    gateway: Gateway
    decoder: FakeDecoder
    link: RedisLink
    bus: Bus
    registry: Registry
    leases: Leases
    directory: Directory

    @property
    def metrics(self) -> Metrics:
        return self.process.metrics

    async def stream(self, name: str = "door", *, max_events: int = 10_000, **fields: Any) -> Storyteller:
        """A registered stream that this test tells; the decoder owns it."""
        spec = common_pb2.StreamSpec(
            stream_id=name, source="rtsp://user:hunter2@camera/1", max_events=max_events, **fields
        )
        await self.registry.create(checked(spec))
        await self.decoder.own(name)
        return Storyteller(self.bus, self.registry, name, max_events=max_events)


@asynccontextmanager
async def running_gateway(redis_url: str, **settings: Any) -> AsyncIterator[RunningGateway]:
    """Starts one, drains it at the end."""
    parsed = GatewaySettings(redis_url=SecretStr(redis_url), **{**FREE_PORTS, **settings})
    process = Process("gateway", parsed)
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(RedisLink(redis_url, patience=Patience(0.3, 1.0, 1.0)))
        leases = RedisLeases(link)
        decoder = await stack.enter_async_context(FakeDecoder(leases))
        channels = await stack.enter_async_context(Channels(process.metrics))
        gateway = await stack.enter_async_context(Gateway(process, link, channels))
        await stack.enter_async_context(process.serving(gateway.rpc))
        url = f"http://127.0.0.1:{gateway.http.port}"
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=10))
        yield RunningGateway(
            url=url,
            grpc=f"127.0.0.1:{gateway.rpc.port}",
            http=http,
            process=process,
            gateway=gateway,
            decoder=decoder,
            link=link,
            bus=RedisStreams(link),
            registry=RedisRegistry(link),
            leases=leases,
            directory=Directory(link),
        )
        await gateway.drain()
