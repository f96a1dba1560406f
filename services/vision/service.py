"""gRPC of vision: proto -> domain -> proto."""

from __future__ import annotations

from livestar.api.v1 import vision_pb2, vision_pb2_grpc
from services.vision.encoder import Description


class VisionRpc(vision_pb2_grpc.VisionServiceServicer):
    """See VisionService in vision.proto."""

    def __init__(self, description: Description, max_batch_frames: int) -> None:
        self._description = description
        self._max_batch_frames = max_batch_frames

    async def Describe(
        self, request: vision_pb2.DescribeRequest, context: object
    ) -> vision_pb2.DescribeResponse:
        """What this process encodes with."""
        return vision_pb2.DescribeResponse(
            model_id=self._description.model_id,
            image_size=self._description.image_size,
            num_tokens=self._description.num_tokens,
            token_width=self._description.token_width,
            dtype=self._description.dtype,
            max_batch_frames=self._max_batch_frames,
        )
