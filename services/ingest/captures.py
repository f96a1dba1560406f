"""The streams that this process captures: takes those that nobody owns, and gives them up when it leaves."""

from __future__ import annotations

import asyncio
import logging
import time

from livestar.api.v1 import common_pb2, ingest_pb2
from livestar.bus import Lease, LeaseKeeper, Role
from livestar.core.errors import (
    CapacityExceeded,
    FailedPrecondition,
    LiveStarError,
    NotFound,
    Unavailable,
)
from livestar.core.ids import StreamId
from livestar.obs import about
from services.ingest.capture import Capture, Surroundings

log = logging.getLogger("livestar.ingest")

RETRY_S = 1.0
"""Pause before another try to take a stream that somebody owns, or that failed here."""


class Captures:
    """See the module. Belongs to the event loop.

    Args:
        around: what captures share.
        owner: name of this process.

    Attributes:
        address: of its gRPC server; set before `run`.
    """

    def __init__(self, around: Surroundings, *, owner: str) -> None:
        self._around = around
        self._owner = owner
        self.address = ""
        self._captures: dict[StreamId, Capture] = {}
        self._tasks: dict[StreamId, asyncio.Task[None]] = {}
        self._not_before_s: dict[StreamId, float] = {}
        self._leaving = False

    async def run(self) -> None:
        """Looks into the registry, for ever; spawn it."""
        away = False
        while True:
            try:
                await self._reconcile()
                away = False
            except Unavailable as error:
                if not away:
                    log.warning("%s", error)
                away = True
            await asyncio.sleep(self._around.settings.reconcile_s)

    def describe(self) -> list[ingest_pb2.Capture]:
        """What is captured here, by stream."""
        return [self._captures[stream].describe() for stream in sorted(self._captures)]

    async def start(self, stream: StreamId) -> Lease:
        """Takes a stream now; returns the lease, which may be another process's.

        Raises:
            NotFound: there is no such stream.
            FailedPrecondition: it is finished.
            CapacityExceeded: this process is full or leaving.
        """
        info = await self._around.registry.get(stream)
        if stream not in self._captures:
            if info.state in _FINISHED:
                raise FailedPrecondition(f"stream '{stream}' is finished: create another one")
            if lease := await self._around.leases.inspect(Role.INGEST, stream):
                return lease
            if not self._has_room:
                raise CapacityExceeded("this ingest captures as many streams as it may: start another one")
            await self._take(info)
        if stream in self._captures:
            return self._captures[stream].keeper.lease
        if lease := await self._around.leases.inspect(Role.INGEST, stream):
            return lease
        raise Unavailable(f"stream '{stream}' has just been given up: try again")

    async def stop(self, stream: StreamId) -> int:
        """Stops a stream; returns the sequence of its last message, 0 when it is not captured here."""
        try:
            await self._around.registry.stop(stream, reason="stopped by a caller")
        except NotFound:
            return 0
        if capture := self._captures.get(stream):
            capture.stop()
            await capture.finished.wait()
            return capture.sequence
        return 0

    async def drain(self) -> None:
        """Gives every stream up, for others to go on."""
        self._leaving = True
        for capture in self._captures.values():
            capture.leave()
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    @property
    def _has_room(self) -> bool:
        return not self._leaving and len(self._captures) < self._around.settings.max_streams

    async def _reconcile(self) -> None:
        before = set(self._captures)
        infos = await self._around.registry.unfinished()
        now_s = time.monotonic()
        for info in infos:
            stream = StreamId(info.spec.stream_id)
            if capture := self._captures.get(stream):
                capture.note(info)
            elif self._has_room and now_s >= self._not_before_s.get(stream, 0.0):
                await self._take(info)
        known = {info.spec.stream_id for info in infos}
        for stream, capture in self._captures.items():
            if stream in before and stream not in known:
                # Deleted, or made final by somebody else.
                capture.leave()
        self._not_before_s = {s: at for s, at in self._not_before_s.items() if s in known}
        self._measure()

    async def _take(self, info: common_pb2.StreamInfo) -> None:
        stream = StreamId(info.spec.stream_id)
        self._not_before_s[stream] = time.monotonic() + RETRY_S
        keeper = await LeaseKeeper.take(
            self._around.leases,
            Role.INGEST,
            stream,
            owner=self._owner,
            address=self.address,
            ttl_s=self._around.settings.lease_s,
        )
        if keeper is None or stream in self._captures:
            return
        try:
            # What was seen before the lease was taken may be old: its last owner may have gone on.
            info = await self._around.registry.get(stream)
        except LiveStarError:
            await self._around.leases.release(keeper.lease)
            raise
        with about(stream=stream):
            self._captures[stream] = capture = Capture(info, keeper, self._around)
            log.info("captures", extra={"epoch": keeper.epoch, "after_sequence": capture.sequence})
            self._tasks[stream] = task = asyncio.create_task(capture.run(), name=f"capture {stream}")
        task.add_done_callback(lambda done: self._ended(stream, done))

    def _ended(self, stream: StreamId, task: asyncio.Task[None]) -> None:
        self._captures.pop(stream, None)
        self._tasks.pop(stream, None)
        self._not_before_s[stream] = time.monotonic() + RETRY_S
        if not task.cancelled() and (error := task.exception()):
            with about(stream=stream):
                log.error("capturing failed: %s", error, exc_info=error)
        keep_s = self._around.settings.preview_keep_s
        asyncio.get_running_loop().call_later(keep_s, self._sweep, stream)

    def _sweep(self, stream: StreamId) -> None:
        if self._around.previews and stream not in self._captures:
            self._around.previews.remove(stream)

    def _measure(self) -> None:
        captures, metrics = self._captures.values(), self._around.metrics
        metrics.owned.set(len(captures))
        metrics.in_flight.set(sum(capture.num_in_flight for capture in captures))
        metrics.behind.set(max((capture.behind_s for capture in captures), default=0.0))


_FINISHED = frozenset(
    {common_pb2.STREAM_STATE_STOPPED, common_pb2.STREAM_STATE_ENDED, common_pb2.STREAM_STATE_FAILED}
)
