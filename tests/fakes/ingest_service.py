"""An ingest that answers over real gRPC and remembers what it was told."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from livestar.api.v1 import ingest_pb2, ingest_pb2_grpc
from livestar.bus import Leases, Role
from livestar.core.errors import LiveStarError
from livestar.core.ids import StreamId
from livestar.obs import Metrics
from livestar.rpc import RpcServer


class FakeIngest(ingest_pb2_grpc.IngestServiceServicer):
    """Serves while it is entered; `own` takes a stream's lease.

    Attributes:
        probed: sources that it was asked to look at.
        stopped: streams that it was told to stop.
        captures: what it says of its streams.
        refusals: raised by the next probes, one each.
        probe_s: what a probe takes.
    """

    def __init__(self, leases: Leases) -> None:
        self.probed: list[str] = []
        self.stopped: list[str] = []
        self.captures: list[ingest_pb2.Capture] = []
        self.refusals: list[LiveStarError] = []
        self.probe_s = 0.0
        self._leases = leases
        self._server = RpcServer(Metrics("ingest"), host="127.0.0.1", port=0)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.port}"

    async def own(self, stream: str) -> None:
        await self._leases.acquire(
            Role.INGEST, StreamId(stream), owner="ingest-1", address=self.address, ttl_s=600
        )

    async def __aenter__(self) -> Self:
        add = ingest_pb2_grpc.add_IngestServiceServicer_to_server
        self._server.add(add, self, ingest_pb2.DESCRIPTOR)
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.stop(0.1)

    async def StopStream(
        self, request: ingest_pb2.IngestServiceStopStreamRequest, _: Any
    ) -> ingest_pb2.IngestServiceStopStreamResponse:
        self.stopped.append(request.stream_id)
        return ingest_pb2.IngestServiceStopStreamResponse(last_sequence=1)

    async def ListStreams(
        self, _request: ingest_pb2.IngestServiceListStreamsRequest, _: Any
    ) -> ingest_pb2.IngestServiceListStreamsResponse:
        return ingest_pb2.IngestServiceListStreamsResponse(captures=self.captures)

    async def ProbeSource(
        self, request: ingest_pb2.ProbeSourceRequest, _: Any
    ) -> ingest_pb2.ProbeSourceResponse:
        self.probed.append(request.source)
        await asyncio.sleep(self.probe_s)
        if self.refusals:
            raise self.refusals.pop(0)
        return ingest_pb2.ProbeSourceResponse(width=64, height=48)
