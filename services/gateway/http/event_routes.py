"""/v1/streams/{stream}/events: what a stream says, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from livestar.core.errors import CapacityExceeded, InvalidInput, LiveStarError
from livestar.core.ids import stream_id
from services.gateway.fanout import Subscription, Told
from services.gateway.http.edge import Edge
from services.gateway.http.event_stream import ALIVE, EventStream, server_event
from services.gateway.http.problems import problem_json
from services.gateway.http.schema import failures

RETRY = b"retry: 1000\n\n"
"""What a browser waits before it resumes."""

MAX_SEQUENCE = 2**63 - 1

EVENTS: dict[str, Any] = {
    "description": "One event a sequence, in order, each a StreamEvent in JSON; its id is the cursor behind which to resume. "
    "`gap`: events between are no longer kept. `lagging`: the reader did not keep up and is cut off; resume. `error`: a "
    "problem document, and the end. Comments come at least every heartbeat.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}

After = Annotated[
    int | None,
    Query(
        ge=0,
        le=MAX_SEQUENCE,
        description="Begin behind this sequence; 0: with the oldest event that is kept; not given: what happens from now on.",
    ),
]


def event_routes(edge: Edge) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/streams", tags=["events"])

    @routes.get(
        "/{stream}/events",
        response_class=Response,
        responses={200: EVENTS, **failures(404, 422, 429)},
        summary="What a stream says, to its end. Last-Event-ID goes before `after`.",
    )
    async def watch_stream(
        stream: str,
        after: After = None,
        speech_only: Annotated[
            bool, Query(description="Leave out pieces of text and silent decisions.")
        ] = False,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> EventStream:
        cursor = cursor_of(last_event_id) if last_event_id else after
        subscription = await edge.hub.subscribe(
            stream_id(stream), after=cursor, speech_only=speech_only, transport="sse"
        )
        return EventStream(_chunks(subscription, edge), subscription)

    return routes


def cursor_of(text: str) -> int:
    """A sequence, as a caller gives it.

    Raises:
        InvalidInput: it is none.
    """
    if not (text.isascii() and text.isdecimal() and int(text[:20]) <= MAX_SEQUENCE):
        raise InvalidInput("Last-Event-ID has to be the sequence of an event")
    return int(text[:20])


async def _chunks(subscription: Subscription, edge: Edge) -> AsyncIterator[bytes]:
    yield RETRY
    sent = edge.metrics.events_sent.labels("sse")
    try:
        async for told in subscription.events():
            yield told.sse if told else ALIVE
            sent.inc(told is not None)
    except CapacityExceeded as error:
        yield server_event("lagging", Told.failure(subscription.stream, error).json)
    except LiveStarError as error:
        yield server_event("error", problem_json(error))
