"""Settings of the memory service."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from livestar.service import GRPC_PORTS, HTTP_PORTS, Port, ServiceSettings


class MemorySettings(ServiceSettings, env_prefix="LIVESTAR_MEMORY_"):
    """See `ServiceSettings`.

    Attributes:
        max_segments: most trunk segments that one stream may keep.
        max_kept_bytes: most bytes of visual tokens that one stream may keep.
        keep_ended_s: seconds after which ledger and visual tokens of a finished stream are dropped.
    """

    grpc_port: Port = GRPC_PORTS["memory"]
    http_port: Port = HTTP_PORTS["memory"]
    max_segments: Annotated[int, Field(ge=16)] = 16_384
    max_kept_bytes: Annotated[int, Field(ge=2**20)] = 512 * 2**20
    keep_ended_s: Annotated[float, Field(gt=0)] = 600.0
