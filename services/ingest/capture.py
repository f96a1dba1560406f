"""One stream that this process captures: from its lease to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from livestar.api.v1 import common_pb2, events_pb2, ingest_pb2
from livestar.bus import FINAL, Bus, LeaseKeeper, Leases, Registry, Role, keys
from livestar.core.backoff import Backoff
from livestar.core.errors import FailedPrecondition, LeaseLost, LiveStarError, NotFound, Unavailable
from livestar.core.ids import StreamId
from livestar.media.image import ImageKind
from livestar.media.source_policy import SourcePolicy
from livestar.obs import TRACEPARENT, current_traceparent, span
from livestar.wire.errors import error_info
from services.ingest.inbox import Ended, Inbox, Taken
from services.ingest.metrics import IngestMetrics
from services.ingest.preview_pages import PreviewPages
from services.ingest.reader import Counts, Plan, Reader
from services.ingest.settings import IngestSettings
from services.ingest.window import Window

log = logging.getLogger("livestar.ingest")

MAX_SHARD_ENTRIES = 8192
"""Far above what may be under way: vision removes what it has finished."""

FORMATS: dict[str, ImageKind] = {"jpeg": "JPEG", "png": "PNG"}
WIRE_FORMATS = {"JPEG": common_pb2.IMAGE_FORMAT_JPEG, "PNG": common_pb2.IMAGE_FORMAT_PNG}

CLOSES_AS = {
    events_pb2.END_REASON_SOURCE_ENDED: common_pb2.STREAM_STATE_ENDED,
    events_pb2.END_REASON_STOPPED: common_pb2.STREAM_STATE_STOPPED,
    events_pb2.END_REASON_FAILED: common_pb2.STREAM_STATE_FAILED,
}
"""The final state that each reason means."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Surroundings:
    """What every capture of a process shares."""

    bus: Bus
    registry: Registry
    leases: Leases
    policy: SourcePolicy
    settings: IngestSettings
    metrics: IngestMetrics
    previews: PreviewPages | None
    frame_size: Callable[[], Awaitable[int]]


class Capture:
    """See the module. Belongs to the event loop; `run` it once, as a task.

    Attributes:
        keeper: of its lease.
        sequence: of the last message published.
        finished: set when the last message is published, or the stream is somebody else's.
    """

    def __init__(self, info: common_pb2.StreamInfo, keeper: LeaseKeeper, around: Surroundings) -> None:
        self.stream = StreamId(info.spec.stream_id)
        self.keeper = keeper
        self.sequence = info.captured_sequence
        self.finished = asyncio.Event()
        self._spec = info.spec
        self._around = around
        self._pts_ns = info.captured_pts_ns
        self._resumes = info.captured_sequence > 0
        self._num_dropped = 0
        self._counts = Counts()
        size = info.spec.max_in_flight or 8
        first = max(info.decided_sequence, info.captured_sequence - size) + 1
        self._window = Window(size, range(first, info.captured_sequence + 1))
        self._news = asyncio.Event()
        self._leaving = False
        self._stopping = info.state == common_pb2.STREAM_STATE_STOPPING
        self._running = False
        loop = asyncio.get_running_loop()
        self._inbox = Inbox(lambda: _from_thread(loop, self._news), size)

    def stop(self) -> None:
        """A caller stopped the stream: its end is published."""
        self._stopping = True
        self._news.set()

    def leave(self) -> None:
        """Gives the stream up as it is, for another process to go on."""
        self._leaving = True
        self._news.set()

    def note(self, info: common_pb2.StreamInfo) -> None:
        """What the registry says now."""
        if info.state in FINAL:
            self.leave()
        elif info.state == common_pb2.STREAM_STATE_STOPPING and not self._stopping:
            self.stop()
        if self._window.settle(info.decided_sequence):
            self._news.set()

    @property
    def behind_s(self) -> float:
        """Age of the oldest frame that is not settled."""
        oldest = self._window.oldest_at_ns
        return 0.0 if oldest is None else max(0.0, (time.time_ns() - oldest) / 1e9)

    @property
    def num_in_flight(self) -> int:
        """Frames under way."""
        return len(self._window)

    def describe(self) -> ingest_pb2.Capture:
        """For people and programs."""
        return ingest_pb2.Capture(
            stream_id=self.stream,
            epoch=self.keeper.epoch,
            last_sequence=self.sequence,
            pts_ns=self._pts_ns,
            num_dropped=self._num_dropped,
            num_decode_errors=self._counts.decode_errors,
            num_reconnects=self._counts.reconnects,
            num_in_flight=len(self._window),
        )

    async def run(self) -> None:
        """Captures until the end, the loss of the lease, or `leave`."""
        try:
            async with self.keeper:
                watching = asyncio.create_task(self._wake_when_lost())
                try:
                    await self._capture()
                finally:
                    watching.cancel()
        except LeaseLost as lost:
            log.warning("%s", lost)
        except NotFound:
            log.info("the stream was deleted")
        finally:
            self._inbox.close()
            self.finished.set()

    async def _capture(self) -> None:
        ended = (Ended(events_pb2.END_REASON_STOPPED), 0) if self._stopping else await self._read()
        if ended:
            await self._finish(*ended)

    async def _read(self) -> tuple[Ended, int] | None:
        """Publishes frames; returns how they end and how many were dropped at the end; None: given up as it is."""
        try:
            await self._start()
        except LiveStarError as error:
            if isinstance(error, LeaseLost | NotFound | Unavailable):
                raise
            return Ended(events_pb2.END_REASON_FAILED, error), 0
        backoff = Backoff(0.01, 0.25)
        while True:
            self._news.clear()
            self.keeper.check()
            if self._leaving:
                return None
            if self._stopping:
                return Ended(events_pb2.END_REASON_STOPPED), 0
            waiting = self._inbox.waiting
            if waiting is None:
                await self._wait(1.0)
            elif isinstance(waiting, Taken) and not self._window.has_room:
                self._inbox.hold()
                await self._look(backoff)
            else:
                item, dropped, broke = self._inbox.take()
                self._num_dropped += dropped
                self._around.metrics.dropped.inc(dropped)
                if isinstance(item, Ended):
                    return item, dropped
                await self._publish_frame(item, dropped, broke=broke)
                backoff.reset()

    async def _start(self) -> None:
        around, spec = self._around, self._spec
        await self._move(common_pb2.STREAM_STATE_STARTING)
        admitted = around.policy.admit(await around.registry.source(self.stream))
        while not (side := await around.frame_size()) and not (self._leaving or self._stopping):
            self._news.clear()
            await self._wait(around.settings.reconcile_s)
            self.keeper.check()
        previews, kind = around.previews, FORMATS[around.settings.image_format]
        plan = Plan(
            admitted,
            spec.fps,
            spec.pace,
            spec.loop,
            side,
            kind,
            after_pts_ns=self._pts_ns if self._resumes else None,
            timeout_s=around.settings.source_timeout_s,
            reconnect_s=around.settings.reconnect_s,
            preview=previews.begin(self.stream) if previews else None,
            preview_segments=around.settings.preview_segments,
            watched=(lambda: previews.watched(self.stream)) if previews else lambda: False,
        )
        if self._leaving or self._stopping:
            return
        reader = Reader(plan, self._inbox, around.metrics)
        self._counts = reader.counts
        reader.start(self.stream)

    async def _publish_frame(self, frame: Taken, dropped: int, *, broke: bool) -> None:
        message = events_pb2.FrameCaptured(
            pts_ns=max(frame.pts_ns, self._pts_ns),
            captured_at_ns=frame.captured_at_ns,
            dropped_before=dropped,
            discontinuity=frame.discontinuity or broke,
            source_width=frame.source_size[0],
            source_height=frame.source_size[1],
            image=common_pb2.Image(
                format=WIRE_FORMATS[FORMATS[self._around.settings.image_format]],
                width=frame.side,
                height=frame.side,
                data=frame.data,
            ),
        )
        await self._publish(message)
        self._window.add(self.sequence, frame.captured_at_ns)
        self._around.metrics.captured.inc()
        self._around.metrics.bytes.inc(len(frame.data))
        if not self._running:
            self._running = True
            await self._move(common_pb2.STREAM_STATE_RUNNING)

    async def _publish(self, message: events_pb2.FrameCaptured) -> None:
        """Numbers a message, notes it, and publishes it, in this order.

        A process that dies in between leaves a hole that the decoder waits for and counts as lost; the other way round, its
        heir would use a number twice.
        """
        message.stream_id = self.stream
        message.sequence = self.sequence + message.dropped_before + 1
        message.epoch = self.keeper.epoch
        started_s = time.monotonic()
        with span("ingest.publish", sequence=message.sequence):
            traceparent = current_traceparent()
            await self._surely(
                self._around.registry.note_captured,
                self.stream,
                epoch=message.epoch,
                sequence=message.sequence,
                pts_ns=message.pts_ns,
            )
            await self._surely(
                self._around.bus.publish,
                keys.frames(keys.shard_of(self.stream)),
                message.SerializeToString(),
                maxlen=MAX_SHARD_ENTRIES,
                headers={TRACEPARENT: traceparent} if traceparent else {},
            )
        self.sequence, self._pts_ns = message.sequence, message.pts_ns
        self._around.metrics.publishing.observe(time.monotonic() - started_s)

    async def _finish(self, ended: Ended, dropped: int) -> None:
        """Publishes the end and stays the owner until the stream is final, so that nobody opens the source again."""
        self._inbox.close()
        reason = events_pb2.EndReason.Name(ended.reason).removeprefix("END_REASON_").lower()
        end = events_pb2.EndOfStream(reason=ended.reason)
        if ended.error:
            end.error.CopyFrom(error_info(ended.error))
            log.warning("the stream failed: %s", ended.error)
        else:
            log.info("the stream ends: %s", reason)
        await self._publish(
            events_pb2.FrameCaptured(
                pts_ns=self._pts_ns, captured_at_ns=time.time_ns(), dropped_before=dropped, end=end
            )
        )
        self._around.metrics.ended.labels(reason).inc()
        self.finished.set()
        unowned_since_s = None
        while not self._leaving:
            info = await self._surely(self._around.registry.get, self.stream)
            self._window.settle(info.decided_sequence)
            if info.state in FINAL:
                return
            decoder = await self._surely(self._around.leases.inspect, Role.DECODER, self.stream)
            unowned_since_s = None if decoder else (unowned_since_s or time.monotonic())
            if unowned_since_s and time.monotonic() - unowned_since_s > self._around.settings.end_grace_s:
                await self._close_alone(ended, info)
                return
            self._news.clear()
            await self._wait(self._around.settings.reconcile_s)

    async def _close_alone(self, ended: Ended, info: common_pb2.StreamInfo) -> None:
        left = self.sequence - info.decided_sequence
        reason = str(ended.error) if ended.error else f"no decoder took its last {left} messages"
        to = CLOSES_AS[ended.reason]
        if info.state == common_pb2.STREAM_STATE_STOPPING and to != common_pb2.STREAM_STATE_FAILED:
            to = common_pb2.STREAM_STATE_STOPPED
        log.warning("closing the stream without a decoder: %s", reason)
        with suppress(FailedPrecondition):
            await self._around.registry.move(self.stream, to, reason=reason)

    async def _move(self, to: common_pb2.StreamState.ValueType) -> None:
        try:
            await self._surely(self._around.registry.move, self.stream, to)
        except FailedPrecondition:
            # Stopped in the meantime: the next look into the registry says so.
            info = await self._surely(self._around.registry.get, self.stream)
            self.note(info)

    async def _look(self, backoff: Backoff) -> None:
        """Asks how far the decoder is; the longer nothing changes, the less often."""
        info = await self._surely(self._around.registry.get, self.stream)
        self.note(info)
        if not self._window.has_room:
            await self._wait(backoff.pause_s())

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)

    async def _surely(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Awaits the call, again and again while Redis is away, for as long as the lease is surely held."""
        while True:
            self.keeper.check()
            try:
                return await call(*args, **kwargs)
            except Unavailable:
                await asyncio.sleep(0.1)

    async def _wake_when_lost(self) -> None:
        await self.keeper.lost.wait()
        self._news.set()


def _from_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    # The loop may be gone: then nobody waits.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(event.set)
