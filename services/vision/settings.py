"""Settings of vision."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from livestar.service import GRPC_PORTS, HTTP_PORTS, Port, ServiceSettings


class VisionSettings(ServiceSettings, env_prefix="LIVESTAR_VISION_"):
    """How vision works.

    Attributes:
        model: a model that is shipped ("nano"), or a checkpoint folder.
        device: "cpu", "cuda" or "cuda:N".
        dtype: precision of the network and of the published tokens.
        torch_threads: threads of one pass on the CPU; one process a core with one thread each is the fastest.
        max_batch_frames: most frames of one pass.
        batch_wait_s: how long a pass waits for more frames after its first one.
        claim_idle_s: frames of a replica that gave no sign of life for so long are taken over.
        max_deliveries: a frame that was taken so often without being finished is given up.
    """

    grpc_port: Port = GRPC_PORTS["vision"]
    http_port: Port = HTTP_PORTS["vision"]
    model: str = "nano"
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    torch_threads: Annotated[int, Field(ge=1, le=256)] = 1
    max_batch_frames: Annotated[int, Field(ge=1, le=256)] = 8
    batch_wait_s: Annotated[float, Field(ge=0, le=1)] = 0.005
    claim_idle_s: Annotated[float, Field(gt=0, le=600)] = 3.0
    max_deliveries: Annotated[int, Field(ge=1, le=100)] = 4
