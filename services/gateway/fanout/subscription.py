"""One subscription, as its reader sees it: every event once, in order, from a cursor on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from livestar.api.v1 import events_pb2
from livestar.bus import Bus, keys
from services.gateway.fanout.feed import Feed
from services.gateway.fanout.subscriber import Subscriber
from services.gateway.fanout.told import Told, cursor_of, sequence_of

PAGE = 256


class Subscription:
    """Made by `Hub.subscribe`. An async context manager; `close` may be called instead.

    Args:
        bus: for events that the feed does not hold any more.
        feed: of the stream.
        subscriber: its queue.
        after: sequence behind which it begins.
        lost: `after` is ahead of everything that is kept.
        heartbeat_s: longest silence.
        on_gap: told of every gap.
        on_left: told once, at the end.

    Attributes:
        stream: the stream.
    """

    def __init__(
        self,
        bus: Bus,
        feed: Feed,
        subscriber: Subscriber,
        *,
        after: int,
        lost: bool,
        heartbeat_s: float,
        on_gap: Callable[[], None],
        on_left: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._feed = feed
        self._subscriber = subscriber
        self._last = after
        self._lost = lost
        self._heartbeat_s = heartbeat_s
        self._on_gap = on_gap
        self._on_left: Callable[[], None] | None = on_left
        self.stream = feed.stream

    async def events(self) -> AsyncIterator[Told | None]:
        """Events behind the cursor, to the one that says that the stream is over; None: nothing came, but all is well.

        Whatever is missing is told by a `gap` before the event that follows.

        Raises:
            CapacityExceeded: this reader did not keep up; what had waited for it has been given out.
            NotFound: the stream was deleted.
            Unavailable: Redis is away, or the gateway is on its way out.
        """
        if self._lost:
            yield self._gap(self._feed.newest + 1)
            self._last = self._feed.newest
        async for told in self._kept():
            yield told
            if told.is_final:
                return
        while True:
            try:
                news = await self._subscriber.next(self._heartbeat_s)
            except StopAsyncIteration:
                yield self._final()
                return
            if news and 0 < news.sequence <= self._last:
                continue
            yield news
            if news:
                self._last = news.sequence or self._last
                if news.is_final:
                    return

    async def _kept(self) -> AsyncIterator[Told]:
        """What had come before; at its end the subscriber has joined the feed, with nothing in between."""
        while (held := self._feed.since(self._last)) is None:
            key = keys.events(self._feed.stream)
            entries = await self._bus.read({key: cursor_of(self._last)}, count=PAGE, block_s=0)
            for entry in entries:
                told = Told.of(entry) or Told.unreadable(self._feed.stream, sequence_of(entry.id))
                if told.sequence > self._last + 1:
                    yield self._gap(told.sequence)
                self._last = told.sequence
                if self._subscriber.wants(told):
                    yield told
            if not entries:
                # Trimmed, all of it.
                yield self._gap(self._feed.floor + 1)
                self._last = self._feed.floor
        self._feed.join(self._subscriber)
        for told in held:
            self._last = told.sequence
            if self._subscriber.wants(told):
                yield told

    def _gap(self, oldest: int) -> Told:
        self._on_gap()
        return Told.gap(self._feed.stream, self._last, oldest)

    def _final(self) -> Told:
        """That the stream is over, for those who have seen its last event."""
        assert self._feed.final is not None, "a feed without an error ends with a final state"
        event = events_pb2.StreamEvent()
        event.CopyFrom(self._feed.final.event)
        event.sequence = 0
        return Told(event)

    def close(self) -> None:
        """Listens no more; may be called again."""
        left, self._on_left = self._on_left, None
        if left:
            left()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
