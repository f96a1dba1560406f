"""An answer that goes on: server-sent events, until the source ends or the reader leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

ALIVE = b": alive\n\n"
"""A comment, for proxies and for readers who wonder."""

HEADERS = {
    "Cache-Control": "no-store",
    # nginx would hold events back.
    "X-Accel-Buffering": "no",
}


class EventStream(Response):
    """Sends what `chunks` gives.

    Args:
        chunks: bytes to send; closed at the end, however it comes.
        held: entered already, left at the end: what the chunks come from.
    """

    media_type = "text/event-stream"

    def __init__(
        self, chunks: AsyncIterator[bytes], held: AbstractAsyncContextManager[Any] | None = None
    ) -> None:
        super().__init__(status_code=200, headers=HEADERS)
        del self.headers["content-length"]
        self._chunks = chunks
        self._held = held

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Sends everything; returns when the reader has left, too."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            pumping = asyncio.ensure_future(self._pump(send))
            leaving = asyncio.ensure_future(_left(receive))
            try:
                await asyncio.wait((pumping, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
                if not pumping.done():
                    pumping.cancel()
                await asyncio.gather(pumping, leaving, return_exceptions=True)
            if not pumping.cancelled():
                pumping.result()
        finally:
            if self._held:
                await self._held.__aexit__(None, None, None)

    async def _pump(self, send: Send) -> None:
        async with aclosing(self._chunks) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def server_event(kind: str, data: str) -> bytes:
    """One event; `data` is one line."""
    return f"event: {kind}\ndata: {data}\n\n".encode()
