"""/v1/streams/{stream}/ws: events and questions over one WebSocket.

Comes: {"type": kind, "event": StreamEvent} for each event; {"type": "alive"}; {"type": "reply", "id": …, "reply": AskResponse}
for a question; {"type": "error", "problem": …}, with the id where a question failed.
Goes: {"type": "ask", "id": "any text", "text": "…", "chain": "…"}; {"type": "cancel", "id": …}.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Annotated, Literal

from fastapi import APIRouter, WebSocket
from pydantic import Field, TypeAdapter, ValidationError
from starlette.websockets import WebSocketDisconnect

from livestar.core.errors import CapacityExceeded, InvalidInput, LiveStarError, NotFound
from livestar.core.ids import stream_id
from services.gateway.fanout import Subscription, Told
from services.gateway.http.edge import Edge
from services.gateway.http.event_routes import After, cursor_of
from services.gateway.http.guard import BEARER
from services.gateway.http.problems import Problem, problem
from services.gateway.http.proto_json import as_line
from services.gateway.http.question_routes import broken_off
from services.gateway.http.requests import Body, Question

MAX_QUESTIONS = 8
"""Of one socket at a time."""

PROTOCOL = "livestar"
NORMAL, GOING_AWAY, TRY_AGAIN, POLICY = 1000, 1001, 1013, 1008
CloseCode = Literal[1000, 1001, 1008, 1013]


class Ask(Question):
    """A question over the socket."""

    type: Literal["ask"]
    id: Annotated[str, Field(min_length=1, max_length=64)]


class Cancel(Body):
    """Hangs up on a question."""

    type: Literal["cancel"]
    id: Annotated[str, Field(min_length=1, max_length=64)]


_MESSAGES: TypeAdapter[Ask | Cancel] = TypeAdapter(Annotated[Ask | Cancel, Field(discriminator="type")])


def socket_routes(edge: Edge) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/streams")

    @routes.websocket("/{stream}/ws")
    async def socket(
        websocket: WebSocket,
        stream: str,
        after: After = None,
        speech_only: bool = False,  # noqa: FBT001
    ) -> None:
        try:
            last_event_id = websocket.headers.get("last-event-id")
            cursor = cursor_of(last_event_id) if last_event_id else after
            subscription = await edge.hub.subscribe(
                stream_id(stream), after=cursor, speech_only=speech_only, transport="websocket"
            )
        except LiveStarError as error:
            await websocket.send_denial_response(Problem(error))
            return
        async with subscription:
            await websocket.accept(subprotocol=_protocol(websocket))
            await _Conversation(websocket, stream, edge).run(subscription)

    return routes


def _protocol(websocket: WebSocket) -> str | None:
    """What we agree to speak; never the one that carries the token."""
    offered: list[str] = websocket.scope.get("subprotocols", [])
    named = [name for name in offered if not name.startswith(BEARER)]
    return PROTOCOL if PROTOCOL in named else None


class _Conversation:
    """One accepted socket."""

    def __init__(self, websocket: WebSocket, stream: str, edge: Edge) -> None:
        self._websocket = websocket
        self._stream = stream
        self._edge = edge
        self._sending = asyncio.Lock()
        self._questions: dict[str, asyncio.Task[None]] = {}

    async def run(self, subscription: Subscription) -> None:
        """Tells and hears until one side ends it."""
        telling = asyncio.create_task(self._tell(subscription))
        hearing = asyncio.create_task(self._hear())
        try:
            await asyncio.wait((telling, hearing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            tasks = [telling, hearing, *self._questions.values()]
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception) and not isinstance(error, WebSocketDisconnect):
                raise error

    async def _tell(self, subscription: Subscription) -> None:
        sent = self._edge.metrics.events_sent.labels("websocket")
        try:
            async for told in subscription.events():
                await self._send(told.message if told else '{"type": "alive"}')
                sent.inc(told is not None)
        except CapacityExceeded as error:
            lagging = Told.failure(subscription.stream, error)
            await self._send(f'{{"type": "lagging", "event": {lagging.json}}}')
            await self._websocket.close(TRY_AGAIN)
        except LiveStarError as error:
            await self._complain(error)
            await self._websocket.close(POLICY if isinstance(error, NotFound) else GOING_AWAY)
        else:
            await asyncio.gather(*self._questions.values(), return_exceptions=True)
            await self._websocket.close(NORMAL)

    async def _hear(self) -> None:
        while True:
            text = await self._websocket.receive_text()
            try:
                message = _MESSAGES.validate_json(text)
            except ValidationError as error:
                where = ".".join(map(str, error.errors()[0]["loc"])) or "message"
                await self._complain(InvalidInput(f"{where}: {error.errors()[0]['msg']}"))
                continue
            if isinstance(message, Cancel):
                if question := self._questions.get(message.id):
                    question.cancel()
            elif message.id in self._questions or len(self._questions) >= MAX_QUESTIONS:
                await self._complain(
                    CapacityExceeded(
                        f"ask at most {MAX_QUESTIONS} questions at a time, each with an id of its own"
                    ),
                    message.id,
                )
            else:
                self._begin(message.id, self._ask(message))

    def _begin(self, name: str, asking: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(asking)
        self._questions[name] = task
        task.add_done_callback(lambda _: self._questions.pop(name, None))

    async def _ask(self, question: Ask) -> None:
        name = json.dumps(question.id)
        try:
            async with self._edge.streams.ask(self._stream, question.text, question.chain) as replies:
                async for reply in replies:
                    await self._send(f'{{"type": "reply", "id": {name}, "reply": {as_line(reply)}}}')
                    if reply.HasField("answer"):
                        return
            raise broken_off()
        except LiveStarError as error:
            await self._complain(error, question.id)

    async def _complain(self, error: LiveStarError, question: str = "") -> None:
        about = {"id": question} if question else {}
        await self._send(json.dumps({"type": "error", **about, "problem": problem(error)}))

    async def _send(self, text: str) -> None:
        async with self._sending:
            await self._websocket.send_text(text)
