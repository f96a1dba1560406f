"""A TCP proxy that can be cut: the network between two parts of the system."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

HOST = "127.0.0.1"
CONNECT_S = 1.0
CHUNK_BYTES = 65_536


class Network:
    """An event loop on a thread of its own, for all proxies."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="network", daemon=True)
        self._thread.start()

    def run(self, what: Coroutine[Any, Any, Any]) -> Any:
        """Runs something there and waits for it."""
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(10)

    def proxy(self, *targets: int) -> Proxy:
        """A proxy in front of some local ports; like a Service of Kubernetes it takes the next one that accepts."""
        proxy = Proxy(targets)
        self.run(proxy.open())
        return proxy

    def cut(self, proxy: Proxy, *, cut: bool) -> None:
        """Cuts a connection, or mends it."""
        self.loop.call_soon_threadsafe(proxy.cut if cut else proxy.mend)


class Proxy:
    """See `Network.proxy`.

    Attributes:
        port: where it listens.
    """

    def __init__(self, targets: Sequence[int]) -> None:
        self.port = 0
        self._targets = list(targets)
        self._next = 0
        self._is_cut = False
        self._open: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Listens from now on."""
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Ends every connection with a reset, and every new one as soon as it comes."""
        self._is_cut = True
        for writer in list(self._open):
            writer.transport.abort()

    def mend(self) -> None:
        """Lets connections through again."""
        self._is_cut = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other = None if self._is_cut else await self._connect()
        if other is None:
            writer.transport.abort()
            return
        far_reader, far_writer = other
        pair = {writer, far_writer}
        self._open |= pair
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self._open -= pair
            for end in pair:
                end.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in self._targets:
            self._next = (self._next + 1) % len(self._targets)
            with suppress(OSError, TimeoutError):
                connecting = asyncio.open_connection(HOST, self._targets[self._next])
                return await asyncio.wait_for(connecting, CONNECT_S)
        return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
