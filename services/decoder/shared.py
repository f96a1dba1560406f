"""What all streams of this process share, and the memory service as they see it."""

from __future__ import annotations

from dataclasses import dataclass

from grpc_health.v1 import health_pb2, health_pb2_grpc

from livestar.api.v1 import memory_pb2, memory_pb2_grpc
from livestar.bus import Bus, Registry
from livestar.core.errors import Unavailable
from livestar.core.ids import StreamId
from livestar.engine import StreamSettings
from livestar.rpc import Channels, answers
from services.decoder.engine_thread import EngineThread
from services.decoder.metrics import DecoderMetrics
from services.decoder.settings import DecoderSettings

COMMIT_TIMEOUT_S = 5.0
LOAD_TIMEOUT_S = 30.0
CHECK_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Kept:
    """What the memory has of a stream.

    Attributes:
        head: its default (epoch 0) where nothing was ever committed.
        segments: in order.
        frames: visual tokens.
    """

    head: memory_pb2.StreamHead
    segments: tuple[memory_pb2.Segment, ...] = ()
    frames: tuple[memory_pb2.KeptFrame, ...] = ()


class MemoryClient:
    """The memory service at an address."""

    def __init__(self, channels: Channels, address: str) -> None:
        self._channels = channels
        self._address = address

    async def commit(self, request: memory_pb2.CommitRequest) -> memory_pb2.CommitResponse:
        """Sends a batch once; see `MemoryService.Commit`."""
        return await (await self._stub()).Commit(request, timeout=COMMIT_TIMEOUT_S)

    async def load(self, stream: StreamId, epoch: int) -> Kept:
        """Everything of a stream; from then on older epochs are refused."""
        request = memory_pb2.LoadRequest(stream_id=stream, epoch=epoch)
        head = memory_pb2.StreamHead()
        segments, frames = [], []
        async with answers((await self._stub()).Load(request, timeout=LOAD_TIMEOUT_S)) as parts:
            async for part in parts:
                match part.WhichOneof("part"):
                    case "head":
                        head = part.head
                    case "segment":
                        segments.append(part.segment)
                    case "kept_frame":
                        frames.append(part.kept_frame)
        return Kept(head, tuple(segments), tuple(frames))

    async def check(self) -> None:
        """Passes when the service serves.

        Raises:
            Unavailable: it does not.
        """
        request = health_pb2.HealthCheckRequest()
        stub = health_pb2_grpc.HealthStub(await self._channels.to(self._address))
        state = await stub.Check(request, timeout=CHECK_TIMEOUT_S)
        if state.status != health_pb2.HealthCheckResponse.SERVING:
            raise Unavailable(f"the memory service at {self._address} is not ready: look at its /readyz")

    async def _stub(self) -> memory_pb2_grpc.MemoryServiceAsyncStub:
        return memory_pb2_grpc.MemoryServiceStub(await self._channels.to(self._address))


@dataclass(frozen=True)
class Shared:
    """See the module.

    Attributes:
        engine: the engine on its thread.
        memory: the memory service.
        bus: where visual tokens come from.
        registry: which streams there are.
        metrics: of the process.
        settings: of the process.
        defaults: how a stream is watched where it does not say.
        model_id: checkpoint of this process.
        image_token_id: stands where visual tokens stand.
    """

    engine: EngineThread
    memory: MemoryClient
    bus: Bus
    registry: Registry
    metrics: DecoderMetrics
    settings: DecoderSettings
    defaults: StreamSettings
    model_id: str
    image_token_id: int
