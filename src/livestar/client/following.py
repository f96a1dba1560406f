"""Events of a stream, read on a thread of their own, so that whoever waits for them can look at other things, too."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

from livestar.api.v1 import events_pb2
from livestar.client.gateway_client import GatewayClient
from livestar.core.errors import LiveStarError

MAX_WAITING = 1024
"""Events that wait for us; then the reading waits, and the gateway says that we are too slow."""
LOOK_EVERY_S = 0.2

News = events_pb2.StreamEvent | LiveStarError | None


class Following:
    """Iterating gives events, and None whenever none has come for a moment; it ends with the stream.

    Raises:
        LiveStarError: while iterating: what `GatewayClient.events` raises.
    """

    def __init__(self, gateway: GatewayClient, stream: str, *, after: int | None = 0) -> None:
        self._news: queue.Queue[News] = queue.Queue(MAX_WAITING)
        self._left = threading.Event()
        self._reading = threading.Thread(
            target=self._read, args=(gateway, stream, after), name="events", daemon=True
        )
        self._reading.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The thread sees it at its next event, or when the client is closed.
        self._left.set()

    def __iter__(self) -> Iterator[events_pb2.StreamEvent | None]:
        while True:
            try:
                news = self._news.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                yield None
                continue
            if news is None:
                return
            if isinstance(news, LiveStarError):
                raise news
            yield news

    def _read(self, gateway: GatewayClient, stream: str, after: int | None) -> None:
        end: News = None
        try:
            for event in gateway.events(stream, after=after):
                self._put(event)
                if self._left.is_set():
                    return
        except LiveStarError as error:
            end = error
        except Exception:
            # A client that was closed below us fails in many ways.
            if not self._left.is_set():
                raise
        self._put(end)

    def _put(self, news: News) -> None:
        while not self._left.is_set():
            with suppress(queue.Full):
                self._news.put(news, timeout=LOOK_EVERY_S)
                return
