"""/v1/streams: create, list, inspect, stop; and the channels of a stream."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from livestar.api.v1 import common_pb2
from services.gateway.http.edge import Edge
from services.gateway.http.proto_json import ProtoAnswer, as_object
from services.gateway.http.requests import Channel, NewStream
from services.gateway.http.schema import BODY, failures, reference
from services.gateway.streams import MAX_PAGE, Inspection

STREAM: dict[str, Any] = {
    "description": "The stream.",
    "content": {"application/json": {"schema": reference("StreamInfo")}},
}
CHANNEL: dict[str, Any] = {
    "type": "object",
    "required": ["channel"],
    "properties": {"channel": {"type": "string"}},
}
INSPECTION: dict[str, Any] = {
    "allOf": [
        reference("StreamInfo"),
        {
            "type": "object",
            "required": ["live"],
            "properties": {
                "live": {
                    "type": "object",
                    "description": "What the processes that work on it say just now; null where there is none.",
                    "properties": {
                        "decoder": {"anyOf": [reference("InspectStreamResponse"), {"type": "null"}]},
                        "capture": {"anyOf": [reference("Capture"), {"type": "null"}]},
                        "behind_frames": {
                            "type": "integer",
                            "description": "Frames that were captured and are not decided yet.",
                        },
                        "num_subscribers": {"type": "integer", "description": "At this gateway."},
                    },
                }
            },
        },
    ]
}


def stream_routes(edge: Edge) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/streams", tags=["streams"])

    @routes.post(
        "",
        status_code=201,
        response_class=Response,
        responses={201: STREAM, **failures(*BODY, 409, 504)},
        summary="Watch a source. The same stream again is fine.",
    )
    async def create_stream(new: NewStream) -> ProtoAnswer:
        info = await edge.streams.create(new.spec(), probe=new.probe)
        return ProtoAnswer(as_object(info), 201, location=f"/v1/streams/{info.spec.stream_id}")

    @routes.get(
        "",
        response_class=Response,
        responses={200: _list_answer(), **failures(422)},
        summary="Streams, the newest first.",
    )
    async def list_streams(
        page_size: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
        page_token: Annotated[str, Query(max_length=200)] = "",
    ) -> ProtoAnswer:
        page = await edge.streams.page(limit=page_size, token=page_token)
        listed = [as_object(info) for info in page.streams]
        return ProtoAnswer({"streams": listed, "next_page_token": page.next_token})

    @routes.get(
        "/{stream}",
        response_class=Response,
        responses={
            200: {"description": "The stream.", "content": {"application/json": {"schema": INSPECTION}}},
            **failures(404, 422),
        },
        summary="One stream, with live figures.",
    )
    async def inspect_stream(stream: str) -> ProtoAnswer:
        return ProtoAnswer(_inspected(await edge.streams.inspect(stream)))

    @routes.delete(
        "/{stream}",
        response_class=Response,
        responses={200: STREAM, 204: {"description": "Stopped and forgotten."}, **failures(404, 422)},
        summary="Stop a stream; frames under way are still decided. With forget, everything kept of it goes, too.",
    )
    async def stop_stream(stream: str, *, forget: bool = False) -> Response:
        if forget:
            await edge.streams.delete(stream)
            return Response(status_code=204)
        return ProtoAnswer(as_object(await edge.streams.stop(stream)))

    @routes.get(
        "/{stream}/channels",
        response_class=Response,
        responses={
            200: {
                "description": "The narration first.",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["channels"],
                            "properties": {"channels": {"type": "array", "items": reference("ChannelView")}},
                        }
                    }
                },
            },
            **failures(404, 422),
        },
        summary="Channels and what they hold; those asked for at the start, while no decoder answers.",
    )
    async def list_channels(stream: str) -> ProtoAnswer:
        inspection = await edge.streams.inspect(stream)
        return ProtoAnswer({"channels": _channels(inspection)})

    @routes.post(
        "/{stream}/channels",
        status_code=201,
        response_class=Response,
        responses={
            201: {"description": "Its name.", "content": {"application/json": {"schema": CHANNEL}}},
            **failures(*BODY, 404, 409, 429, 504),
        },
        summary="Open a standing question, or a probe.",
    )
    async def open_channel(stream: str, new: Channel) -> ProtoAnswer:
        name = await edge.streams.open_channel(stream, new.spec())
        return ProtoAnswer({"channel": name}, 201, location=f"/v1/streams/{stream}/channels/{name}")

    @routes.delete(
        "/{stream}/channels/{channel}",
        status_code=204,
        response_class=Response,
        responses={204: {"description": "Closed."}, **failures(404, 409, 422, 504)},
        summary="Close a standing question, or a probe.",
    )
    async def close_channel(stream: str, channel: str) -> Response:
        await edge.streams.close_channel(stream, channel)
        return Response(status_code=204)

    return routes


def _inspected(inspection: Inspection) -> dict[str, Any]:
    info, decoder, capture = inspection.info, inspection.decoder, inspection.capture
    return as_object(info) | {
        "live": {
            "decoder": as_object(decoder) if decoder else None,
            "capture": as_object(capture) if capture else None,
            "behind_frames": max(0, info.captured_sequence - info.decided_sequence),
            "num_subscribers": inspection.num_subscribers,
        }
    }


def _channels(inspection: Inspection) -> list[dict[str, Any]]:
    if inspection.decoder:
        return [as_object(view) for view in inspection.decoder.channels]
    return [
        {
            "channel": spec.channel,
            "kind": common_pb2.ChannelKind.Name(spec.kind or common_pb2.CHANNEL_KIND_STANDING),
            "text": spec.text,
            "held_text": "",
            "reference_nll": "NaN",
            "alpha": spec.gate.alpha or 1.0,
        }
        for spec in inspection.info.spec.settings.channels
    ]


def _list_answer() -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["streams", "next_page_token"],
        "properties": {
            "streams": {"type": "array", "items": reference("StreamInfo")},
            "next_page_token": {"type": "string", "description": "Empty: there are no more."},
        },
    }
    return {"description": "Some streams.", "content": {"application/json": {"schema": schema}}}
