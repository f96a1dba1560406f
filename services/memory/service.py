"""gRPC in front of `StreamMemory`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from grpc import aio

from livestar.api.v1 import memory_pb2, memory_pb2_grpc
from livestar.core.errors import InvalidInput
from livestar.core.ids import stream_id
from services.memory.stream_memory import StreamMemory


class MemoryRpc(memory_pb2_grpc.MemoryServiceServicer):
    """See `MemoryService` in the protos."""

    def __init__(self, memory: StreamMemory) -> None:
        self._memory = memory

    async def Commit(
        self,
        request: memory_pb2.CommitRequest,
        context: aio.ServicerContext[memory_pb2.CommitRequest, memory_pb2.CommitResponse],
    ) -> memory_pb2.CommitResponse:
        """Writes a batch."""
        return await self._memory.commit(request)

    async def Load(
        self,
        request: memory_pb2.LoadRequest,
        context: aio.ServicerContext[memory_pb2.LoadRequest, memory_pb2.LoadResponse],
    ) -> AsyncIterator[memory_pb2.LoadResponse]:
        """Hands a whole stream out: head, segments, visual tokens."""
        if request.epoch < 1:
            raise InvalidInput("epoch counts from 1: take the lease first")
        kept = await self._memory.load(stream_id(request.stream_id), request.epoch)
        yield memory_pb2.LoadResponse(head=kept.head)
        for segment in kept.segments:
            yield memory_pb2.LoadResponse(segment=segment)
        for frame in kept.frames:
            yield memory_pb2.LoadResponse(kept_frame=frame)

    async def Plan(
        self,
        request: memory_pb2.PlanRequest,
        context: aio.ServicerContext[memory_pb2.PlanRequest, memory_pb2.PlanResponse],
    ) -> memory_pb2.PlanResponse:
        """Says what to forget."""
        plan = await self._memory.plan(stream_id(request.stream_id), request.coming_tokens)
        return memory_pb2.PlanResponse(plan=plan)

    async def ForgetStream(
        self,
        request: memory_pb2.ForgetStreamRequest,
        context: aio.ServicerContext[memory_pb2.ForgetStreamRequest, memory_pb2.ForgetStreamResponse],
    ) -> memory_pb2.ForgetStreamResponse:
        """Removes a stream."""
        await self._memory.forget(stream_id(request.stream_id))
        return memory_pb2.ForgetStreamResponse()
