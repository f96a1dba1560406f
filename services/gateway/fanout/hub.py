"""Follows the streams that somebody listens to: one read of the bus for all of them, told to each subscriber's own queue."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from livestar.api.v1 import common_pb2
from livestar.bus import FINAL, START, Bus, Entry, Registry, keys
from livestar.core.backoff import Backoff
from livestar.core.errors import CapacityExceeded, LiveStarError, NotFound, Unavailable
from livestar.core.ids import StreamId
from services.gateway.fanout.feed import Feed
from services.gateway.fanout.subscriber import Subscriber
from services.gateway.fanout.subscription import Subscription
from services.gateway.fanout.told import Told, cursor_of, sequence_of
from services.gateway.metrics import GatewayMetrics

log = logging.getLogger("livestar.gateway")

PAGE = 256
"""Most entries of one stream in one read; never more than half a queue, so that a burst leaves nobody behind."""

BLOCK_S = 1.0
LOOK_EVERY_S = 1.0
LINGER_S = 10.0
"""A stream that nobody listens to is followed for so long."""

GRACE_S = 2.0
"""What the last event gets to come after the registry says that a stream is over."""


@dataclass(frozen=True)
class HubSettings:
    """How events are told.

    Attributes:
        kept: newest events of a followed stream that are held in memory.
        max_queue: events that wait for one subscriber.
        max_subscribers: at a time.
        heartbeat_s: longest silence of a subscription.
    """

    kept: int = 2048
    max_queue: int = 1024
    max_subscribers: int = 4096
    heartbeat_s: float = 15.0


class Hub:
    """See the module. `run` it beside the servers; belongs to one event loop.

    Args:
        bus: where events come from.
        registry: which streams there are.
        settings: how they are told.
        metrics: of the gateway.
    """

    def __init__(self, bus: Bus, registry: Registry, settings: HubSettings, metrics: GatewayMetrics) -> None:
        self._bus = bus
        self._registry = registry
        self._settings = settings
        self._metrics = metrics
        self._page = max(1, min(PAGE, settings.max_queue // 2))
        self._feeds: dict[str, Feed] = {}
        self._opening: dict[str, asyncio.Task[Feed]] = {}
        self._changed = asyncio.Event()
        self._num_subscribers = 0
        self._closed = False

    def num_subscribers(self, stream: StreamId) -> int:
        """How many listen to a stream here."""
        feed = self._feeds.get(keys.events(stream))
        return feed.num_subscribers if feed else 0

    async def subscribe(
        self, stream: StreamId, *, after: int | None, speech_only: bool = False, transport: str
    ) -> Subscription:
        """Listens to a stream; enter the subscription, or close it.

        Args:
            stream: the stream.
            after: sequence behind which to begin; 0: from the oldest event that is kept; None: what happens from now on.
            speech_only: leave out pieces of text and silent decisions.
            transport: for the metrics.

        Raises:
            NotFound: there is no such stream.
            CapacityExceeded: too many subscribers.
            Unavailable: Redis is away, or this gateway is on its way out.
        """
        if self._closed:
            raise leaving()
        if self._num_subscribers >= self._settings.max_subscribers:
            raise CapacityExceeded("this gateway has as many subscribers as it takes: try again later")
        feed = await self._feed(await self._registry.get(stream))
        lost = after is not None and after > feed.newest and after > await self._newest(stream)
        subscriber = Subscriber(max_queue=self._settings.max_queue, speech_only=speech_only)
        self._num_subscribers += 1
        self._metrics.subscribers.labels(transport).inc()

        def left() -> None:
            feed.leave(subscriber)
            feed.last_heard_s = self._now_s()
            self._num_subscribers -= 1
            self._metrics.subscribers.labels(transport).dec()

        return Subscription(
            self._bus,
            feed,
            subscriber,
            after=feed.newest if after is None else after,
            lost=lost,
            heartbeat_s=self._settings.heartbeat_s,
            on_gap=self._metrics.gaps.inc,
            on_left=left,
        )

    async def run(self) -> None:
        """Follows streams, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read_on(), name="events")
            group.create_task(self._look_on(), name="streams")

    def close(self) -> None:
        """Sends every subscriber away, to resume elsewhere; takes no more."""
        self._closed = True
        for feed in self._feeds.values():
            feed.end(leaving())

    async def empty(self, *, timeout_s: float) -> bool:
        """Waits until every subscriber has left; False: some have not within `timeout_s`."""
        give_up_at_s = self._now_s() + timeout_s
        while self._num_subscribers and self._now_s() < give_up_at_s:
            await asyncio.sleep(0.01)
        return not self._num_subscribers

    async def _feed(self, info: common_pb2.StreamInfo) -> Feed:
        key = keys.events(StreamId(info.spec.stream_id))
        known = self._feeds.get(key)
        if known and known.created_at_ns == info.created_at_ns:
            known.last_heard_s = self._now_s()
            return known
        if key not in self._opening:
            opening = asyncio.create_task(self._open(key, info), name=f"open {key}")
            opening.add_done_callback(lambda _: self._opening.pop(key, None))
            self._opening[key] = opening
        # Shielded: the others wait for it, too.
        return await asyncio.shield(self._opening[key])

    async def _open(self, key: str, info: common_pb2.StreamInfo) -> Feed:
        """Begins to follow a stream, a memory's length before its newest event."""
        oldest, newest = await self._bus.bounds(key)
        floor = max(0, sequence_of(oldest) - 1, sequence_of(newest) - self._settings.kept)
        feed = Feed(info, floor=floor, kept=self._settings.kept, now_s=self._now_s())
        while entries := await self._bus.read({key: cursor_of(feed.newest)}, count=PAGE, block_s=0):
            self._take(feed, entries)
            if sequence_of(entries[-1].id) >= sequence_of(newest):
                break
        if (before := self._feeds.get(key)) is not None:
            before.end(gone(feed.stream))
        self._feeds[key] = feed
        self._metrics.feeds.set(len(self._feeds))
        self._changed.set()
        if self._closed:
            raise leaving()
        return feed

    async def _newest(self, stream: StreamId) -> int:
        _, newest = await self._bus.bounds(keys.events(stream))
        return 0 if newest == START else sequence_of(newest)

    async def _read_on(self) -> None:
        backoff, failing = Backoff(0.1, 2.0), False
        while True:
            self._changed.clear()
            cursors = {key: cursor_of(feed.newest) for key, feed in self._feeds.items() if not feed.final}
            if not cursors:
                await self._changed.wait()
                continue
            try:
                entries = await self._read(cursors)
            except LiveStarError as error:
                if not failing:
                    self._tell_trouble(error)
                failing = True
                await asyncio.sleep(backoff.pause_s())
                continue
            failing = False
            backoff.reset()
            for key in dict.fromkeys(entry.key for entry in entries):
                if feed := self._feeds.get(key):
                    self._take(feed, [entry for entry in entries if entry.key == key])
            # Subscribers get their turn, however fast events come.
            await asyncio.sleep(0)

    async def _read(self, cursors: dict[str, str]) -> list[Entry]:
        """What comes next, or nothing as soon as there are other streams to follow."""
        reading = asyncio.ensure_future(self._bus.read(cursors, count=self._page, block_s=BLOCK_S))
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((reading, changed), return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else []
        finally:
            reading.cancel()
            changed.cancel()
            await asyncio.gather(reading, changed, return_exceptions=True)

    def _take(self, feed: Feed, entries: Sequence[Entry]) -> None:
        for entry in entries:
            told = Told.of(entry)
            if told is None:
                self._metrics.unreadable.inc()
                log.error("an entry is no event", extra={"stream": feed.stream, "entry": entry.id})
                told = Told.unreadable(feed.stream, sequence_of(entry.id))
            gaps, behind = feed.take(told, self._now_s())
            self._metrics.events_read.inc()
            self._metrics.gaps.inc(gaps)
            self._metrics.lagging.inc(behind)
            if feed.num_subscribers and told.event.decided_at_ns:
                self._metrics.delivery.observe(max(0.0, (time.time_ns() - told.event.decided_at_ns) / 1e9))

    def _tell_trouble(self, error: LiveStarError) -> None:
        self._metrics.read_failures.inc()
        log.warning("events cannot be read: %s", error)
        for feed in self._feeds.values():
            self._metrics.lagging.inc(feed.tell(Told.failure(feed.stream, error)))

    async def _look_on(self) -> None:
        """Sees what no event says: streams that nobody listens to, that are over, or that are gone."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now_s = self._now_s()
            for key, feed in list(self._feeds.items()):
                if not feed.num_subscribers and now_s - feed.last_heard_s > LINGER_S:
                    self._drop(key)
            try:
                await self._look_at(
                    [
                        (key, feed)
                        for key, feed in self._feeds.items()
                        if not feed.final and now_s - feed.last_at_s >= LOOK_EVERY_S
                    ]
                )
            except LiveStarError:
                # Redis is away: whoever reads events says so.
                continue

    async def _look_at(self, quiet: Sequence[tuple[str, Feed]]) -> None:
        if not quiet:
            return
        known = {info.spec.stream_id: info for info in await self._registry.unfinished()}
        for key, feed in quiet:
            info = known.get(feed.stream) or await self._info(feed.stream)
            if info is None or info.created_at_ns != feed.created_at_ns:
                feed.end(gone(feed.stream))
                self._drop(key)
            elif 0 < info.event_sequence < feed.newest:
                # Redis came back with less than it had: the same numbers are given to other events.
                feed.end(Unavailable(f"events of stream '{feed.stream}' were lost: resume, and take the gap"))
                self._drop(key)
            elif (
                info.state in FINAL
                and info.event_sequence <= feed.newest
                and time.time_ns() - info.updated_at_ns > GRACE_S * 1e9
            ):
                final = Told.state(info)
                feed.tell(final)
                feed.finish(final)
                self._changed.set()

    async def _info(self, stream: StreamId) -> common_pb2.StreamInfo | None:
        try:
            return await self._registry.get(stream)
        except NotFound:
            return None

    def _drop(self, key: str) -> None:
        self._feeds.pop(key, None)
        self._metrics.feeds.set(len(self._feeds))
        self._changed.set()

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


def leaving() -> Unavailable:
    """What subscribers are told when the gateway goes."""
    return Unavailable("this gateway is on its way out: resume at once, and another one goes on")


def gone(stream: StreamId) -> NotFound:
    """The stream was deleted."""
    return NotFound(f"stream '{stream}' was deleted")
