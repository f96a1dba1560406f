"""A gRPC server from its start to the last call: health, reflection, drain."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.descriptor import FileDescriptor
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from livestar.core.errors import Unavailable
from livestar.obs import Metrics
from livestar.rpc.metrics import RpcMetrics
from livestar.rpc.options import SERVER_OPTIONS
from livestar.rpc.server_interceptor import ServerInterceptor

ServicerT = TypeVar("ServicerT")


class RpcServer:
    """Serves what was added. NOT_SERVING until told otherwise. Belongs to one event loop.

    Args:
        metrics: of the process.
        host: address to listen on.
        port: 0 takes a free one; see `port` after `start`.
        max_calls: calls under way; more are refused with RESOURCE_EXHAUSTED.
    """

    def __init__(self, metrics: Metrics, *, host: str, port: int, max_calls: int = 1024) -> None:
        self.host = host
        self.port = port
        self._server = aio.server(
            interceptors=[ServerInterceptor(RpcMetrics(metrics, "served"))],
            options=SERVER_OPTIONS,
            maximum_concurrent_rpcs=max_calls,
        )
        self._health = health.aio.HealthServicer()
        self._names = [""]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def add(
        self,
        add_to_server: Callable[[ServicerT, aio.Server], None],
        servicer: ServicerT,
        file: FileDescriptor,
    ) -> None:
        """Adds a service: `add(ingest_pb2_grpc.add_IngestServiceServicer_to_server, servicer, ingest_pb2.DESCRIPTOR)`."""
        add_to_server(servicer, self._server)
        self._names += [service.full_name for service in file.services_by_name.values()]

    async def start(self) -> None:
        """Listens; calls are served from now on.

        Raises:
            Unavailable: the port is in use.
        """
        names = (*self._names[1:], health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        try:
            self.port = self._server.add_insecure_port(f"{self.host}:{self.port}")
        except RuntimeError:
            raise Unavailable(
                f"{self.host}:{self.port} cannot be listened on: free the port or set another one"
            ) from None
        await self.set_serving(serving=False)
        await self._server.start()

    async def set_serving(self, *, serving: bool) -> None:
        """What the health service says of every service."""
        states = health_pb2.HealthCheckResponse
        for name in self._names:
            await self._health.set(name, states.SERVING if serving else states.NOT_SERVING)

    async def stop(self, grace_s: float) -> None:
        """Refuses new calls, gives those under way `grace_s` seconds, then cancels them."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)
