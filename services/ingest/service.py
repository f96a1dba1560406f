"""gRPC of ingest: proto -> domain -> proto."""

from __future__ import annotations

import asyncio
import threading

from livestar.api.v1 import common_pb2, ingest_pb2, ingest_pb2_grpc
from livestar.core.errors import CapacityExceeded, DeadlineExceeded
from livestar.core.ids import stream_id
from livestar.media import VideoSource
from livestar.media.source_policy import Admitted, SourcePolicy
from services.ingest.captures import Captures

MAX_PROBES = 8


class IngestRpc(ingest_pb2_grpc.IngestServiceServicer):
    """See IngestService in ingest.proto."""

    def __init__(self, captures: Captures, policy: SourcePolicy, *, timeout_s: float) -> None:
        self._captures = captures
        self._policy = policy
        self._timeout_s = timeout_s
        self._num_probes = 0

    async def StartStream(
        self, request: ingest_pb2.StartStreamRequest, context: object
    ) -> ingest_pb2.StartStreamResponse:
        """Takes a stream now."""
        lease = await self._captures.start(stream_id(request.stream_id))
        return ingest_pb2.StartStreamResponse(epoch=lease.epoch, owner_address=lease.address)

    async def StopStream(
        self, request: ingest_pb2.IngestServiceStopStreamRequest, context: object
    ) -> ingest_pb2.IngestServiceStopStreamResponse:
        """Ends a capture."""
        last = await self._captures.stop(stream_id(request.stream_id))
        return ingest_pb2.IngestServiceStopStreamResponse(last_sequence=last)

    async def ListStreams(
        self, request: ingest_pb2.IngestServiceListStreamsRequest, context: object
    ) -> ingest_pb2.IngestServiceListStreamsResponse:
        """What is captured here."""
        return ingest_pb2.IngestServiceListStreamsResponse(captures=self._captures.describe())

    async def ProbeSource(
        self, request: ingest_pb2.ProbeSourceRequest, context: object
    ) -> ingest_pb2.ProbeSourceResponse:
        """Opens a source and closes it again, in a thread that nobody waits for when it hangs."""
        admitted = self._policy.admit(request.source)
        if self._num_probes >= MAX_PROBES:
            raise CapacityExceeded("too many sources are being probed: try again in a few seconds")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[ingest_pb2.ProbeSourceResponse] = loop.create_future()

        def work() -> None:
            outcome: ingest_pb2.ProbeSourceResponse | Exception
            try:
                outcome = _probe(admitted, self._timeout_s)
            except Exception as error:  # handed over to the caller
                outcome = error
            loop.call_soon_threadsafe(done, outcome)

        def done(outcome: ingest_pb2.ProbeSourceResponse | Exception) -> None:
            self._num_probes -= 1
            if answer.done():
                return
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

        self._num_probes += 1
        threading.Thread(target=work, name="probe", daemon=True).start()
        try:
            async with asyncio.timeout(2 * self._timeout_s + 1):
                return await answer
        except TimeoutError:
            raise DeadlineExceeded("the source did not answer in time: check its address") from None


def _probe(admitted: Admitted, timeout_s: float) -> ingest_pb2.ProbeSourceResponse:
    with VideoSource.open(admitted.location, timeout_s=timeout_s, options=admitted.options) as source:
        return ingest_pb2.ProbeSourceResponse(
            width=source.width,
            height=source.height,
            average_fps=source.average_fps or 0.0,
            duration_s=source.duration_s or 0.0,
            pace=common_pb2.PACE_LIVE if source.is_live else common_pb2.PACE_REALTIME,
        )
