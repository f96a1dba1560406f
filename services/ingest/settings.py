"""Settings of ingest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from livestar.media.source_policy import SCHEMES
from livestar.service import GRPC_PORTS, HTTP_PORTS, Names, Port, ServiceSettings

Seconds = Annotated[float, Field(gt=0, le=3600)]


class IngestSettings(ServiceSettings, env_prefix="LIVESTAR_INGEST_"):
    """How ingest works.

    Attributes:
        roots: folders below which local files may be read, separated by colons; "-" forbids them; empty: where it was started.
        schemes: kinds of sources that may be read, separated by commas; "file" stands for local files.
        frame_size: side in pixels to which frames are scaled; 0 asks a vision service what its network sees.
        image_format: how frames travel: "jpeg" (quality 92, full colour resolution) or "png" (exact, three times the size).
        max_streams: streams that this process captures at once; each has a thread.
        lease_s: a stream whose owner is silent for so long is taken by another.
        reconcile_s: pause between looks into the registry.
        source_timeout_s: longest wait for one answer of a source.
        reconnect_s: how long a live source that broke off is tried again; 0: not at all.
        end_grace_s: a stream at its end that no decoder takes for so long is closed without one.
        preview: make an HLS preview for people.
        preview_dir: folder for previews; empty: a temporary one.
        preview_segments: segments of one second in a preview's list; twice as many lie on disk.
        preview_keep_s: how long a preview stays after its stream has ended.
    """

    grpc_port: Port = GRPC_PORTS["ingest"]
    http_port: Port = HTTP_PORTS["ingest"]
    roots: Annotated[tuple[Path, ...], NoDecode] = (Path(),)
    schemes: Names = SCHEMES
    frame_size: Annotated[int, Field(ge=0, le=4096)] = 0
    image_format: Literal["jpeg", "png"] = "jpeg"
    max_streams: Annotated[int, Field(ge=1, le=4096)] = 64
    lease_s: Seconds = 4.0
    reconcile_s: Seconds = 0.25
    source_timeout_s: Seconds = 10.0
    reconnect_s: Annotated[float, Field(ge=0, le=86400)] = 20.0
    end_grace_s: Seconds = 30.0
    preview: bool = True
    preview_dir: str = ""
    preview_segments: Annotated[int, Field(ge=3, le=600)] = 12
    preview_keep_s: Annotated[float, Field(ge=0, le=86400)] = 30.0

    @field_validator("roots", mode="before")
    @classmethod
    def _folders(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return () if value == "-" else tuple(Path(part) for part in value.split(os.pathsep))

    @field_validator("schemes")
    @classmethod
    def _lower(cls, schemes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name.lower() for name in schemes)
