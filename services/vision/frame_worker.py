"""Takes frames off the bus in batches over all streams, and publishes their visual tokens."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import ParamSpec, TypeVar

from livestar.api.v1 import common_pb2, events_pb2
from livestar.bus import Bus, Delivery, Entry, GroupReader, GroupSettings, keys
from livestar.core.errors import BadImage, LiveStarError, Unavailable
from livestar.core.ids import StreamId
from livestar.obs import TRACEPARENT, about, current_traceparent, span
from livestar.wire.errors import error_info
from services.vision.encoder import Encoder
from services.vision.metrics import VisionMetrics
from services.vision.settings import VisionSettings
from services.vision.token_streams import TokenStreams

log = logging.getLogger("livestar.vision")

Frame = Delivery[events_pb2.FrameCaptured]
P = ParamSpec("P")
T = TypeVar("T")


class FrameWorker:
    """See the module. Belongs to the event loop.

    While one batch is encoded, the next one is gathered: a process holds two batches at most. As long as it lives it says so,
    and nobody else takes them; when it dies, they are taken over after `claim_idle_s`.

    Args:
        bus: the bus.
        streams: where tokens go.
        encoder: the network.
        model_id: its name.
        settings: how to work.
        metrics: of the process.
        consumer: name of this process within the group.
    """

    def __init__(
        self,
        bus: Bus,
        streams: TokenStreams,
        encoder: Encoder,
        model_id: str,
        settings: VisionSettings,
        metrics: VisionMetrics,
        consumer: str,
    ) -> None:
        self._bus = bus
        self._streams = streams
        self._encoder = encoder
        self._model_id = model_id
        self._settings = settings
        self._metrics = metrics
        self._under_way: dict[tuple[str, str], Frame] = {}
        self._left_over: list[Frame] = []
        self._stopping = False
        self._reader = GroupReader(
            bus,
            keys.all_frames(),
            events_pb2.FrameCaptured.FromString,
            GroupSettings(
                keys.VISION_GROUP,
                consumer,
                count=math.ceil(settings.max_batch_frames / keys.FRAME_SHARDS),
                min_idle_s=settings.claim_idle_s,
                claim_every_s=min(2.0, settings.claim_idle_s / 3),
                # Alone and in turn: a frame that kills its reader takes no other with it.
                claim_count=1,
                max_deliveries=settings.max_deliveries,
                remove_acked=True,
            ),
            self._given_up,
        )

    async def run(self) -> None:
        """Works until `stop`, finishes what it has taken, and leaves the group."""
        await self._surely(self._reader.join)
        holding = asyncio.create_task(self._hold(), name="hold")
        try:
            await self._work()
        finally:
            holding.cancel()
        with suppress(Unavailable):
            await self._reader.leave()

    async def _work(self) -> None:
        batch: list[Frame] = []
        while True:
            gathering = asyncio.create_task(self._gather(), name="gather")
            try:
                await self._finish(batch)
                batch = await gathering
            finally:
                gathering.cancel()
            if not batch and self._stopping:
                return

    async def _hold(self) -> None:
        while True:
            await asyncio.sleep(self._settings.claim_idle_s / 4)
            with suppress(Unavailable):
                await self._reader.hold(*self._under_way.values())

    def stop(self) -> None:
        """Takes no more frames."""
        self._stopping = True

    async def measure(self) -> None:
        """Keeps the length of the queue in the metrics, for ever; spawn it."""
        while True:
            with suppress(Unavailable):
                backlogs = [await self._bus.backlog(key, keys.VISION_GROUP) for key in keys.all_frames()]
                self._metrics.waiting.set(sum(backlog.waiting for backlog in backlogs))
                self._metrics.pending.set(sum(backlog.pending for backlog in backlogs))
            await asyncio.sleep(2.0)

    async def _gather(self) -> list[Frame]:
        """The frames of the next pass; empty when none came. Those that somebody left unfinished come one at a time."""
        batch, self._left_over = self._left_over, []
        until_s = time.monotonic() + self._settings.batch_wait_s
        while len(batch) < self._settings.max_batch_frames and not self._stopping:
            wait_s = max(0.0, until_s - time.monotonic()) if batch else None
            more = await self._read(wait_s)
            if any(frame.entry.deliveries > 1 for frame in more):
                self._metrics.repeated.inc(len(more))
                self._left_over = batch
                return more
            if not more:
                break
            if not batch:
                until_s = time.monotonic() + self._settings.batch_wait_s
            batch += more
        size = self._settings.max_batch_frames
        self._left_over = batch[size:]
        return batch[:size]

    async def _read(self, wait_s: float | None) -> list[Frame]:
        try:
            frames = await self._reader.read(block_s=wait_s)
        except Unavailable as error:
            log.warning("%s", error)
            await asyncio.sleep(0.2)
            return []
        # What this process holds may look idle to it, after a pause of the whole process.
        new = [frame for frame in frames if _place(frame) not in self._under_way]
        self._under_way.update((_place(frame), frame) for frame in new)
        return new

    async def _finish(self, batch: Sequence[Frame]) -> None:
        """Encodes, publishes, acknowledges."""
        wanted = [frame for frame in batch if await self._surely(self._wanted, frame)]
        # A message without an image and without an end is an image that cannot be read.
        images = [frame for frame in wanted if not frame.message.HasField("end")]
        outcomes = await self._encoder.encode([frame.message.image for frame in images]) if images else []
        by_place = dict(zip(map(_place, images), outcomes, strict=True))
        lost = {place for place, outcome in by_place.items() if isinstance(outcome, LiveStarError)}
        for frame in wanted:
            await self._surely(self._publish, frame, by_place.get(_place(frame)))
        for frame in batch:
            if _place(frame) in lost:
                await self._surely(self._reader.bury, frame.entry, "unencodable")
        await self._surely(self._reader.ack, *(frame for frame in batch if _place(frame) not in lost))
        for frame in batch:
            del self._under_way[_place(frame)]

    async def _wanted(self, frame: Frame) -> bool:
        known = await self._streams.max_entries(StreamId(frame.message.stream_id)) is not None
        self._metrics.forgotten.inc(not known)
        return known

    async def _publish(self, frame: Frame, outcome: common_pb2.Tensor | LiveStarError | None) -> None:
        captured = frame.message
        ready = _ready(captured, self._model_id)
        if isinstance(outcome, LiveStarError):
            with about(stream=captured.stream_id):
                log.warning("frame %d is lost: %s", captured.sequence, outcome)
            ready.failure.CopyFrom(error_info(outcome))
            self._metrics.failed.labels("unencodable").inc()
        elif outcome is not None:
            ready.tokens.CopyFrom(outcome)
            self._metrics.encoded.inc()
            self._metrics.age.observe(max(0.0, (ready.encoded_at_ns - captured.captured_at_ns) / 1e9))
        else:
            ready.end.CopyFrom(captured.end)
        await self._put(ready, frame.traceparent)

    async def _put(self, ready: events_pb2.VisualTokensReady, traceparent: str | None) -> None:
        stream = StreamId(ready.stream_id)
        max_entries = await self._streams.max_entries(stream)
        if max_entries is None:
            return
        with span("vision.publish", traceparent, sequence=ready.sequence):
            current = current_traceparent()
            await self._bus.publish(
                keys.tokens(stream),
                ready.SerializeToString(),
                maxlen=max_entries,
                headers={TRACEPARENT: current} if current else {},
            )

    async def _given_up(self, entry: Entry, reason: str) -> None:
        """Tells the decoder, as far as it can be told, that this frame will not come."""
        self._metrics.failed.labels(reason).inc(reason != "unencodable")
        if reason != "given_up":
            return
        captured = events_pb2.FrameCaptured.FromString(entry.payload)
        with about(stream=captured.stream_id):
            log.error("frame %d is given up after %d attempts", captured.sequence, entry.deliveries - 1)
        ready = _ready(captured, self._model_id)
        if captured.HasField("end"):
            ready.end.CopyFrom(captured.end)
        else:
            ready.failure.CopyFrom(error_info(BadImage("every attempt to encode this frame broke off.")))
        await self._put(ready, entry.headers.get(TRACEPARENT))

    async def _surely(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Awaits the call, again and again while Redis is away: what is done twice is done once for its readers."""
        while True:
            try:
                return await call(*args, **kwargs)
            except Unavailable as error:
                log.warning("%s", error)
                await asyncio.sleep(0.2)


def _ready(captured: events_pb2.FrameCaptured, model_id: str) -> events_pb2.VisualTokensReady:
    return events_pb2.VisualTokensReady(
        stream_id=captured.stream_id,
        sequence=captured.sequence,
        pts_ns=captured.pts_ns,
        captured_at_ns=captured.captured_at_ns,
        dropped_before=captured.dropped_before,
        epoch=captured.epoch,
        discontinuity=captured.discontinuity,
        model_id=model_id,
        encoded_at_ns=time.time_ns(),
    )


def _place(frame: Frame) -> tuple[str, str]:
    return frame.entry.key, frame.entry.id
