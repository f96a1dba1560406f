"""The small HTTP endpoint of every process: /metrics, /healthz, /readyz and pages of its own. GET and HEAD, one answer each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Self

from livestar.core.errors import Unavailable
from livestar.obs.health import Health
from livestar.obs.metrics import CONTENT_TYPE, Metrics

MAX_HEAD_BYTES = 8192
TIMEOUT_S = 5.0

Answer = tuple[HTTPStatus, str, bytes]
"""Status, content type, body."""

Page = Callable[[str], Awaitable[Answer]]
"""Answers for a path, from behind its prefix on; without the query."""


class ObservabilityEndpoint:
    """Serves while it is entered.

    /healthz: the event loop turns. /readyz: 200 when ready, else 503; both with the checks as JSON. /metrics: Prometheus' text.

    Args:
        metrics: what to expose.
        health: what to say.
        host: address to listen on.
        port: 0 takes a free one; see `port` after entering.
        pages: what else there is, by the prefix of its paths; read at each request.
    """

    def __init__(
        self,
        metrics: Metrics,
        health: Health,
        *,
        host: str,
        port: int,
        pages: Mapping[str, Page] | None = None,
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._host = host
        self.port = port
        self._pages = pages if pages is not None else {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Starts to listen.

        Raises:
            Unavailable: the port is in use.
        """
        try:
            self._server = await asyncio.start_server(
                self._serve, self._host, self.port, limit=MAX_HEAD_BYTES
            )
        except OSError as error:
            raise Unavailable(
                f"{self._host}:{self.port} cannot be listened on ({error.strerror or error}): free the port or set another one"
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                method, path = _request(head)
                status, content_type, body = await self._answer(method, path.partition("?")[0])
                writer.write(
                    f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                )
                if method != "HEAD":
                    writer.write(body)
                await writer.drain()
        except (OSError, EOFError, asyncio.LimitOverrunError):
            # A client that hung up, stalled or sent too much gets no answer.
            return
        finally:
            writer.close()

    async def _answer(self, method: str, path: str) -> Answer:
        if method not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"use GET\n"
        match path:
            case "/metrics":
                return HTTPStatus.OK, CONTENT_TYPE, self._metrics.exposition()
            case "/healthz":
                return HTTPStatus.OK, "application/json", self._health.as_json().encode()
            case "/readyz":
                status = HTTPStatus.OK if self._health.ready else HTTPStatus.SERVICE_UNAVAILABLE
                return status, "application/json", self._health.as_json().encode()
        for prefix, page in self._pages.items():
            if path.startswith(prefix):
                return await page(path.removeprefix(prefix))
        return HTTPStatus.NOT_FOUND, "text/plain", b"there is /metrics, /healthz and /readyz\n"


def _request(head: bytes) -> tuple[str, str]:
    parts = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    return (parts[0], parts[1]) if len(parts) == 3 else ("", "")
