"""/v1/streams/{stream}/questions: ask about what has been seen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from livestar.api.v1 import decoder_pb2
from livestar.core.errors import LiveStarError, Unavailable
from services.gateway.http.edge import Edge
from services.gateway.http.event_stream import EventStream, server_event
from services.gateway.http.problems import problem_json
from services.gateway.http.proto_json import ProtoAnswer, as_line, as_object
from services.gateway.http.requests import Question
from services.gateway.http.schema import BODY, failures, reference

ANSWER: dict[str, Any] = {
    "description": "The answer; or, for `Accept: text/event-stream`, events `asked`, `piece` … and `answer`, each an "
    "AskResponse, and `error`, a problem document, where it broke off.",
    "content": {
        "application/json": {"schema": reference("AskResponse")},
        "text/event-stream": {"schema": {"type": "string"}},
    },
}


def question_routes(edge: Edge) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/streams", tags=["questions"])

    @routes.post(
        "/{stream}/questions",
        response_class=Response,
        responses={200: ANSWER, **failures(*BODY, 404, 409, 429, 504)},
        summary="Ask about what has been seen; hanging up cancels the answer.",
    )
    async def ask(stream: str, question: Question, request: Request) -> Response:
        async with AsyncExitStack() as stack:
            replies = await stack.enter_async_context(edge.streams.ask(stream, question.text, question.chain))
            if "text/event-stream" in request.headers.get("accept", ""):
                return EventStream(_chunks(replies), stack.pop_all())
            async for reply in replies:
                if reply.HasField("answer"):
                    return ProtoAnswer(as_object(reply))
        raise broken_off()

    return routes


def broken_off() -> Unavailable:
    """The answers ended before the answer."""
    return Unavailable("the answer broke off: ask again")


async def _chunks(replies: AsyncIterator[decoder_pb2.AskResponse]) -> AsyncIterator[bytes]:
    try:
        async for reply in replies:
            kind = reply.WhichOneof("body") or "unknown"
            yield server_event(kind, as_line(reply))
            if kind == "answer":
                return
        raise broken_off()
    except LiveStarError as error:
        yield server_event("error", problem_json(error))
