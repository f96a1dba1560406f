"""What size of frame the network sees: told by a setting, or by any vision service."""

from __future__ import annotations

from livestar.api.v1 import vision_pb2, vision_pb2_grpc
from livestar.bus import Directory
from livestar.core.errors import LiveStarError
from livestar.rpc import Channels


class FrameSize:
    """Side in pixels, as an awaitable function; asks until it is told.

    Args:
        told: the setting; 0: ask.
        directory: where vision services are found.
        rpc: channels to them.
    """

    def __init__(self, told: int, directory: Directory, rpc: Channels) -> None:
        self._side = told
        self._directory = directory
        self._rpc = rpc

    async def __call__(self) -> int:
        """The side; 0: there is no vision service yet."""
        if not self._side:
            self._side = await self._asked()
        return self._side

    async def _asked(self) -> int:
        try:
            for address in await self._directory.find("vision"):
                stub = vision_pb2_grpc.VisionServiceStub(await self._rpc.to(address.grpc))
                return int((await stub.Describe(vision_pb2.DescribeRequest(), timeout=2.0)).image_size)
        except LiveStarError:
            return 0
        return 0
