"""uvicorn inside a process that has its own signals, port and end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI

from livestar.core.errors import Unavailable

MAX_MESSAGE_BYTES = 64 * 1024
"""Of a WebSocket, from a client."""

BACKLOG = 512


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process."""
        yield


class HttpServer:
    """Serves an application while it is entered.

    Args:
        app: the application.
        host: address to listen on.
        port: 0 takes a free one; see `port` after entering.
        stalled_s: a peer that takes nothing for so long is cut off.
        grace_s: what requests under way get at the end.
    """

    def __init__(self, app: FastAPI, *, host: str, port: int, stalled_s: float, grace_s: float) -> None:
        self.host = host
        self.port = port
        self._stalled_s = stalled_s
        config = uvicorn.Config(
            app,
            loop="none",
            http="h11",
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE_BYTES,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=max(1, round(grace_s)),
        )
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Starts to listen.

        Raises:
            Unavailable: the port is in use.
        """
        listening = self._listen()
        self.port = listening.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]), name="http")
        while not self._server.started and not self._serving.done():
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        if self._serving:
            await self._serving

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                # Connections inherit it: the kernel cuts off a peer that takes nothing, though it may answer that it lives.
                listening.setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._stalled_s * 1000)
                )
            listening.bind((self.host, self.port))
            listening.listen(BACKLOG)
            listening.settimeout(0)
        except OSError as error:
            listening.close()
            raise Unavailable(
                f"{self.host}:{self.port} cannot be listened on ({error.strerror or error}): free the port or set another one"
            ) from None
        return listening
