"""Clears up: streams and jobs that are over for long, streams that nobody runs, jobs whose worker is gone."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from livestar.api.v1 import common_pb2
from livestar.bus import FINAL, RedisLeases, RedisLink, RedisRegistry, Role, keys
from livestar.bus.job import FINAL_JOBS, JobState
from livestar.bus.job_book import JobBook
from livestar.client.gateway_client import GatewayClient
from livestar.core.errors import FailedPrecondition, NotFound, Unavailable
from livestar.core.ids import StreamId
from services.jobs.settings import JobsSettings

PAGE = 200

log = logging.getLogger("livestar.jobs")


@dataclass
class Swept:
    """What a sweep did.

    Attributes:
        deleted_streams: whose time was over.
        reaped_streams: that nobody ran.
        deleted_jobs: whose time was over.
        nudged_jobs: that wait, or whose worker is gone.
    """

    deleted_streams: list[str] = field(default_factory=list)
    reaped_streams: list[str] = field(default_factory=list)
    deleted_jobs: list[str] = field(default_factory=list)
    nudged_jobs: list[str] = field(default_factory=list)


class Sweep:
    """One sweep over a Redis.

    Args:
        link: the Redis.
        gateway: forgets streams.
        settings: what is kept for how long.
        nudge: tells the workers that a job waits.
    """

    def __init__(
        self, link: RedisLink, gateway: GatewayClient, settings: JobsSettings, nudge: Callable[[str], None]
    ) -> None:
        self._link = link
        self._gateway = gateway
        self._registry = RedisRegistry(link)
        self._leases = RedisLeases(link)
        self._book = JobBook(link)
        self._settings = settings
        self._nudge = nudge
        self._swept = Swept()

    async def run(self) -> Swept:
        """Sweeps once. Every step may be repeated, so a sweep that breaks off does no harm."""
        await self._jobs()
        try:
            await self._streams()
        except Unavailable as error:
            log.warning("streams are not swept this time: %s", error)
        return self._swept

    async def _streams(self) -> None:
        old_ns = time.time_ns() - round(self._settings.stream_retention_s * 1e9)
        token = ""
        while True:
            page = await self._registry.page(limit=PAGE, token=token)
            for info in page.streams:
                if info.state not in FINAL:
                    await self._reap(info)
                elif info.updated_at_ns < old_ns and info.spec.stream_id != page.next_token:
                    # The one where the next page begins stays until the next sweep.
                    await self._delete(StreamId(info.spec.stream_id))
            if not (token := page.next_token):
                return

    async def _delete(self, stream: StreamId) -> None:
        """Through the gateway: who keeps something of a stream knows best what."""
        try:
            await asyncio.to_thread(self._gateway.forget_stream, stream)
        except NotFound:
            return
        self._swept.deleted_streams.append(stream)

    async def _reap(self, info: common_pb2.StreamInfo) -> None:
        """Ends a stream that nobody has owned for long: its reader or its decoder is gone, and no other has come."""
        stream = StreamId(info.spec.stream_id)
        if any([await self._leases.inspect(role, stream) for role in Role]):
            await self._link.execute("DEL", keys.unowned(stream))
            return
        now_ms = time.time_ns() // 1_000_000
        unowned = keys.unowned(stream)
        # The first look notes the time, the ones after it compare.
        kept_s = 3 * self._settings.unowned_s + 10 * self._settings.sweep_s
        await self._link.execute("SET", unowned, now_ms, "NX", "PX", round(kept_s * 1000))
        since_ms = int(await self._link.execute("GET", unowned) or now_ms)
        if now_ms - since_ms < self._settings.unowned_s * 1000:
            return
        stopping = info.state == common_pb2.STREAM_STATE_STOPPING
        to = common_pb2.STREAM_STATE_STOPPED if stopping else common_pb2.STREAM_STATE_FAILED
        try:
            await self._registry.move(
                stream,
                to,
                reason=f"nobody has run it for {self._settings.unowned_s:g} s: are ingest and decoder up?",
            )
        except (FailedPrecondition, NotFound):
            # It moved by itself in between.
            return
        await self._link.execute("DEL", unowned)
        self._swept.reaped_streams.append(stream)

    async def _jobs(self) -> None:
        now_ns = time.time_ns()
        for info in await self._book.active():
            silent_s = (now_ns - info.updated_at_ns) / 1e9
            if info.state is JobState.QUEUED or silent_s > self._settings.silent_s:
                self._nudge(info.job.id)
                self._swept.nudged_jobs.append(info.job.id)
        old_ns = now_ns - round(self._settings.job_retention_s * 1e9)
        for info in await self._book.newest(10_000):
            if info.state in FINAL_JOBS and info.updated_at_ns < old_ns:
                shutil.rmtree(Path(self._settings.out_dir).resolve() / info.job.id, ignore_errors=True)
                await self._book.delete(info.job.id)
                self._swept.deleted_jobs.append(info.job.id)
