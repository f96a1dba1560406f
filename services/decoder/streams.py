"""All streams of this process: which it takes, where their frames come from, and how it gives them up."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Iterator
from contextlib import suppress

from livestar.api.v1 import common_pb2
from livestar.bus import LeaseKeeper, Leases, Role, keys
from livestar.core.errors import InvalidInput, LiveStarError, NotFound, NotOwner
from livestar.core.ids import StreamId
from services.decoder.balance import Balance
from services.decoder.engine_thread import Outcome
from services.decoder.opening import wanted_settings
from services.decoder.over import Over, Why
from services.decoder.owned_stream import OwnedStream
from services.decoder.shared import Shared

log = logging.getLogger("livestar.decoder")

READ_COUNT = 32
"""Entries of one stream in one read."""

HAND_OFF_S = 1.0
"""What a stream that was released gets to find its next owner before the next one is released."""

READ_S = 0.25
"""How long a read waits; a stream that was just taken is read after that at the latest."""


class Streams:
    """Belongs to one event loop.

    Args:
        shared: of the process.
        leases: who owns what.
        owner: name of this process, unique among the living ones.
        balance: says when a stream is to be given away.
    """

    def __init__(self, shared: Shared, leases: Leases, *, owner: str, balance: Balance) -> None:
        self._shared = shared
        self._leases = leases
        self._owner = owner
        self._balance = balance
        self._giving: asyncio.Task[None] | None = None
        self._address = ""
        self._owned: dict[StreamId, OwnedStream] = {}
        self._lives: dict[StreamId, asyncio.Task[None]] = {}
        self._not_before_s: dict[StreamId, float] = {}
        self._taking = True
        self._too_many = False

    def __len__(self) -> int:
        return len(self._owned)

    def __iter__(self) -> Iterator[OwnedStream]:
        return iter(list(self._owned.values()))

    def owned(self, stream: StreamId) -> OwnedStream:
        """The stream.

        Raises:
            NotOwner: it is not here.
        """
        if stream not in self._owned:
            raise NotOwner(f"stream '{stream}' is not here: find its owner and ask there")
        return self._owned[stream]

    def take(self, outcomes: list[Outcome]) -> None:
        """Hands on what the engine did."""
        for outcome in outcomes:
            if stream := self._owned.get(outcome.stream):
                stream.take(outcome)

    async def keep_owning(self, address: str) -> None:
        """Looks through the registry for ever: takes what nobody owns, tells its own streams what is wanted of them.

        Args:
            address: `host:port` where its streams are asked for.
        """
        self._address, away = address, False
        while True:
            self._measure()
            try:
                await self._look()
                away = False
            except LiveStarError as error:
                if not away:
                    log.warning("the registry cannot be read: %s", error)
                away = True
            await asyncio.sleep(self._shared.settings.reconcile_s)

    async def keep_reading(self) -> None:
        """Reads the frames of every stream for ever, one read over all of them at a time."""
        while True:
            by_key = {keys.tokens(s.id): s for s in self._owned.values() if s.wants_entries}
            if not by_key:
                await asyncio.sleep(0.02)
                continue
            try:
                cursors = {key: stream.cursor for key, stream in by_key.items()}
                entries = await self._shared.bus.read(cursors, count=READ_COUNT, block_s=READ_S)
            except LiveStarError as error:
                log.warning("the bus cannot be read: %s", error)
                await asyncio.sleep(READ_S)
                continue
            for entry in entries:
                by_key[entry.key].arrived(entry)

    async def release(self, stream: StreamId) -> tuple[int, int]:
        """Gives a stream up, so that another process takes it; returns the last settled frame and the last event.

        Raises:
            NotOwner: it is not here.
            DeadlineExceeded: it takes longer than `drain_s`.
        """
        return await self.owned(stream).release(self._shared.settings.drain_s)

    async def drain(self) -> None:
        """Takes no more streams and gives all up, within `drain_s`; those that take longer lose nothing but their last frame.

        One after the other, so that each finds its next owner at leisure while the others are still watched; several at a time
        where there are too many for that.
        """
        self._taking = False
        lives, waiting = list(self._lives.values()), list(self)
        drain_s = self._shared.settings.drain_s
        at_a_time = math.ceil(len(waiting) * HAND_OFF_S / max(drain_s / 2, HAND_OFF_S))

        async def hand_off() -> None:
            while waiting:
                stream = waiting.pop()
                await stream.release(drain_s)
                await self._until_taken(stream.id)

        handed_off = (hand_off() for _ in range(max(1, at_a_time)))
        try:
            async with asyncio.timeout(drain_s):
                await asyncio.gather(*handed_off)
        except (TimeoutError, LiveStarError):
            log.warning("not every stream was released in time", extra={"num_late": len(self)})
            for stream in self:
                stream.give_up(Over(Why.RELEASED))
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)

    async def _look(self) -> None:
        unfinished = {StreamId(i.spec.stream_id): i for i in await self._shared.registry.unfinished()}
        for stream in self:
            if info := unfinished.get(stream.id):
                stream.listed(info)
            else:
                stream.not_listed(await self._info(stream.id))
        wanted = [info for name, info in unfinished.items() if name not in self._owned]
        # Several processes look at the same time: each begins elsewhere.
        random.shuffle(wanted)
        for info in wanted:
            await self._try_to_take(info)
        await self._share(len(unfinished))

    async def _share(self, num_unfinished: int) -> None:
        """Gives a stream away, where another decoder should have it; one at a time."""
        if not self._taking or self._giving:
            return
        open_ones = [stream for stream in self if stream.is_open]
        if open_ones and await self._balance.has_surplus(len(self), num_unfinished):
            stream = random.choice(open_ones)  # noqa: S311 - no secret depends on it
            self._balance.gave(stream.id)
            log.info("given to another decoder", extra={"stream": stream.id})
            self._giving = asyncio.create_task(self._give(stream), name=f"give {stream.id}")

    async def _give(self, stream: OwnedStream) -> None:
        try:
            await stream.release(self._shared.settings.drain_s)
        except LiveStarError as error:
            log.warning("not given away yet: %s", error, extra={"stream": stream.id})
        finally:
            self._giving = None

    async def _until_taken(self, stream: StreamId) -> None:
        """Waits until another decoder has the stream, or for `HAND_OFF_S`: there may be none, or the stream may be over."""
        with suppress(TimeoutError, LiveStarError):
            async with asyncio.timeout(HAND_OFF_S):
                while await self._leases.inspect(Role.DECODER, stream) is None:
                    await asyncio.sleep(0.02)

    def _measure(self) -> None:
        metrics, now_ns = self._shared.metrics, time.time_ns()
        metrics.streams.set(len(self))
        metrics.behind.set(max((stream.behind_s(now_ns) for stream in self), default=0.0))
        metrics.waiting.labels("order").set(sum(stream.num_out_of_order for stream in self))
        metrics.waiting.labels("engine").set(sum(stream.num_in_flight for stream in self))
        metrics.uncommitted.set(sum(stream.num_uncommitted for stream in self))
        num_free, num_pages = self._shared.engine.pages
        metrics.pages.labels("free").set(num_free)
        metrics.pages.labels("used").set(num_pages - num_free)
        metrics.commands.set(self._shared.engine.num_commands)
        metrics.retries.inc(self._shared.engine.take_num_retries())

    async def _info(self, stream: StreamId) -> common_pb2.StreamInfo | None:
        try:
            return await self._shared.registry.get(stream)
        except NotFound:
            return None

    async def _try_to_take(self, info: common_pb2.StreamInfo) -> None:
        stream = StreamId(info.spec.stream_id)
        if not self._taking or time.monotonic() < self._not_before_s.get(stream, 0.0):
            return
        if not await self._has_room(info.spec):
            if not self._too_many:
                log.warning("no room for more streams: start another decoder or give this one more pages")
            self._too_many = True
            return
        self._too_many = False
        keeper = await LeaseKeeper.take(
            self._leases,
            Role.DECODER,
            stream,
            owner=self._owner,
            address=self._address,
            ttl_s=self._shared.settings.lease_ttl_s,
        )
        if keeper:
            self._not_before_s.pop(stream, None)
            self._balance.took(stream)
            owned = self._owned[stream] = OwnedStream(info.spec, keeper, self._shared)
            self._lives[stream] = asyncio.create_task(self._live(owned), name=f"stream {stream}")

    async def _has_room(self, spec: common_pb2.StreamSpec) -> bool:
        """Whether the engine can hold this stream beside those that it has or is about to get."""
        if len(self._owned) >= self._shared.settings.max_streams:
            return False
        try:
            settings = [wanted_settings(spec, self._shared)[1]]
        except InvalidInput:
            # It needs no room: all that will be done with it is to say so.
            return True
        for stream in self:
            if not stream.is_open:
                with suppress(InvalidInput):
                    settings.append(wanted_settings(stream.spec, self._shared)[1])
        return await self._shared.engine.call(
            lambda engine: sum(map(engine.pages_for, settings)) <= engine.num_uncommitted_pages
        )

    async def _live(self, stream: OwnedStream) -> None:
        why = Why.RELEASED
        try:
            why = await stream.run()
        except LiveStarError as error:
            log.error("given back: %s", error, extra={"stream": stream.id})
        except Exception:  # the boundary of one stream: the others go on
            log.exception("given back", extra={"stream": stream.id})
        finally:
            del self._owned[stream.id], self._lives[stream.id]
            self._shared.metrics.closed.labels(why).inc()
            self._rest(stream.id)

    def _rest(self, stream: StreamId) -> None:
        """Leaves a stream to others for a moment."""
        now_s = time.monotonic()
        self._not_before_s = {name: at_s for name, at_s in self._not_before_s.items() if at_s > now_s}
        self._not_before_s[stream] = now_s + self._shared.settings.settle_s
