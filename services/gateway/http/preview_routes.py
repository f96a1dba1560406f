"""/v1/streams/{stream}/preview: what a stream looks like."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from livestar.core.ids import stream_id
from services.gateway.http.edge import Edge
from services.gateway.http.preview import TYPES
from services.gateway.http.schema import failures


def preview_routes(edge: Edge) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/streams", tags=["preview"])
    content: dict[str, Any] = {kind: {"schema": {"type": "string"}} for kind in TYPES.values()}

    @routes.get(
        "/{stream}/preview/{file}",
        response_class=Response,
        responses={200: {"description": "The file.", "content": content}, **failures(404, 422)},
        summary="The stream's pictures as HLS; begin with index.m3u8. Its programme time is the stream's, from 1970-01-01 on.",
    )
    async def preview_file(stream: str, file: str) -> Response:
        return await edge.preview.fetch(stream_id(stream), file)

    return routes
