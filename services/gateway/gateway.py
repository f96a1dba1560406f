"""The gateway's parts, put together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from livestar.api.v1 import gateway_pb2, gateway_pb2_grpc
from livestar.bus import Directory, RedisLeases, RedisLink, RedisRegistry, RedisStreams
from livestar.rpc import Channels
from livestar.service import Process
from services.gateway.fanout import Hub, HubSettings
from services.gateway.http import Edge, HttpServer, create_app
from services.gateway.http.preview import PreviewProxy
from services.gateway.metrics import GatewayMetrics
from services.gateway.owners import Owners
from services.gateway.service import GatewayRpc
from services.gateway.settings import GatewaySettings
from services.gateway.streams import Streams

GOODBYE_S = 2.0
"""What the last words to subscribers get to be sent."""

GRACE_S = 3.0


class Gateway:
    """Listens on HTTP while it is entered; its gRPC server is for the process to serve.

    Args:
        process: the process that it runs in.
        link: to Redis.
        channels: to the other services.

    Attributes:
        http: the HTTP edge.
        rpc: the gRPC edge.
    """

    def __init__(self, process: Process[GatewaySettings], link: RedisLink, channels: Channels) -> None:
        settings = process.settings
        metrics = GatewayMetrics(process.metrics)
        bus, registry = RedisStreams(link), RedisRegistry(link)
        owners = Owners(registry, RedisLeases(link), Directory(link), channels, answer_s=settings.answer_s)
        self._process = process
        self._bus = bus
        self._hub = Hub(bus, registry, _hub_settings(settings), metrics)
        self._preview = PreviewProxy(owners)
        streams = Streams(registry, owners, self._hub, metrics, probe_s=settings.probe_s)
        self.http = HttpServer(
            create_app(Edge(streams, self._hub, self._preview, settings, metrics)),
            host=settings.host,
            port=settings.port,
            stalled_s=settings.stalled_s,
            grace_s=min(GRACE_S, settings.drain_s),
        )
        self.rpc = process.rpc_server(max_calls=settings.max_subscribers + 1024)
        servicer = GatewayRpc(streams, self._hub, metrics, token=settings.token.get_secret_value())
        self.rpc.add(gateway_pb2_grpc.add_GatewayServiceServicer_to_server, servicer, gateway_pb2.DESCRIPTOR)
        self._stack = AsyncExitStack()

    async def drain(self) -> None:
        """Sends subscribers away, to resume elsewhere, and takes no more."""
        self._hub.close()
        await self._hub.empty(timeout_s=min(GOODBYE_S, self._process.settings.drain_s / 2))

    async def __aenter__(self) -> Self:
        """Starts to listen.

        Raises:
            Unavailable: the port is in use.
        """
        self._stack.push_async_callback(self._preview.aclose)
        await self._stack.enter_async_context(self.http)
        self._process.spawn(self._hub.run(), "hub")
        self._process.spawn(self._process.keep_checking("redis", self._bus.ping), "redis")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._hub.close()
        await self._stack.aclose()


def _hub_settings(settings: GatewaySettings) -> HubSettings:
    return HubSettings(
        kept=settings.kept_events,
        max_queue=settings.max_queue,
        max_subscribers=settings.max_subscribers,
        heartbeat_s=settings.heartbeat_s,
    )
