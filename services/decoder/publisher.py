"""Sends what a stream's journal holds to the memory: in order, one batch under way, again and again until it is written."""

from __future__ import annotations

import asyncio
import time

from livestar.api.v1 import memory_pb2
from livestar.bus import LeaseKeeper
from livestar.core.backoff import Backoff
from livestar.core.errors import CapacityExceeded, LiveStarError
from livestar.core.ids import NARRATION
from livestar.memory import PlannedElsewhere
from livestar.obs import span
from livestar.wire.ledger import forget_of
from services.decoder.journal import Journal
from services.decoder.shared import Shared

FULL_S = 30.0
"""How long a batch that the memory has no room for is tried."""


class Publisher:
    """Belongs to one event loop.

    Args:
        journal: what there is to send.
        planned: gets the memory's plans.
        keeper: the lease; without it nothing is sent.
        shared: of the process.
    """

    def __init__(
        self, journal: Journal, planned: PlannedElsewhere, keeper: LeaseKeeper, shared: Shared
    ) -> None:
        self._journal = journal
        self._planned = planned
        self._keeper = keeper
        self._shared = shared
        self._news = asyncio.Event()
        self._idle = asyncio.Event()

    def news(self) -> None:
        """The journal may hold something new."""
        self._idle.clear()
        self._news.set()

    async def flushed(self) -> None:
        """Returns when everything is written."""
        await self._idle.wait()

    async def run(self) -> None:
        """Sends for ever.

        Raises:
            LeaseLost: the stream has another owner: nothing may be written any more.
            LiveStarError: the memory will not have the batch, however often it is sent.
        """
        while True:
            await self._news.wait()
            self._news.clear()
            while request := self._journal.next_batch():
                response = await self._send(request)
                self._journal.written(request)
                self._observe(request)
                if response.HasField("plan"):
                    self._planned.offer(response.plan.ledger_version, forget_of(response.plan))
            if not self._news.is_set():
                self._idle.set()

    async def _send(self, request: memory_pb2.CommitRequest) -> memory_pb2.CommitResponse:
        backoff, started_s = Backoff(0.02, 1.0), time.monotonic()
        while True:
            self._keeper.check()
            try:
                with span("decoder.commit", self._journal.traceparent, batch=request.head.batch):
                    response = await self._shared.memory.commit(request)
                self._shared.metrics.commit_seconds.observe(time.monotonic() - started_s)
                return response
            except CapacityExceeded:
                if time.monotonic() - started_s > FULL_S:
                    raise
            except LiveStarError as error:
                if not error.retryable:
                    raise
            await asyncio.sleep(backoff.pause_s())

    def _observe(self, request: memory_pb2.CommitRequest) -> None:
        now_ns = time.time_ns()
        for event in request.events:
            if event.HasField("decision") and event.decision.channel == NARRATION and event.captured_at_ns:
                behind_s = max(0.0, (now_ns - event.captured_at_ns) / 1e9)
                self._shared.metrics.decision_seconds.observe(behind_s)
                self._shared.metrics.frames.inc()
