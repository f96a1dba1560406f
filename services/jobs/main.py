"""Composes jobs: two Celery workers as processes of ours, one for narrations and one that sweeps, and their figures."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
import uuid
from asyncio.subprocess import PIPE
from asyncio.subprocess import Process as Worker
from contextlib import suppress

from livestar.bus import RedisLink
from livestar.bus.job_book import JobBook
from livestar.bus.job_queue import NARRATIONS, SWEEPS
from livestar.core.errors import LiveStarError, Unavailable
from livestar.service import Process, run
from services.jobs.metrics import JobsMetrics
from services.jobs.settings import JobsSettings

LOOK_EVERY_S = 2.0
START_S = 60.0

log = logging.getLogger("livestar.jobs")


async def serve(process: Process[JobsSettings]) -> None:
    """Runs jobs until it is asked to stop; jobs under way go back into the queue."""
    settings = process.settings
    group = f"{os.uname().nodename.partition('.')[0]}-{uuid.uuid4().hex[:6]}"
    async with RedisLink(settings.redis_url.get_secret_value(), max_connections=8) as link:
        await process.wait_for("redis", link.check)
        process.spawn(process.keep_checking("redis", link.check), "redis")
        book = JobBook(link)
        workers = [await _start(queue, group) for queue in (NARRATIONS, SWEEPS)]
        try:
            await asyncio.gather(*(_until_ready(process, worker) for worker in workers))
            process.spawn(_measure(book, JobsMetrics(process.metrics), group), "figures")
            async with process.serving():
                await process.until_stopped()
                with suppress(LiveStarError):
                    await book.leave(group, for_s=settings.drain_s + 60.0)
        finally:
            await _stop(workers, settings.drain_s)


async def _start(queue: str, group: str) -> Worker:
    # From the main thread, to whose end the workers' own end is tied.
    command = (sys.executable, "-m", "services.jobs.worker", queue, group, str(os.getpid()))
    return await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stderr=PIPE)


async def _until_ready(process: Process[JobsSettings], worker: Worker) -> None:
    """Returns when a worker takes tasks; from then on it is listened to, and its end is ours."""
    ready = asyncio.Event()
    process.spawn(_listen(process, worker, ready), f"worker {worker.pid}")
    stopped = asyncio.ensure_future(process.until_stopped())
    waiting = asyncio.ensure_future(ready.wait())
    done, _ = await asyncio.wait((stopped, waiting), timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    waiting.cancel()
    if not done:
        raise Unavailable(f"a Celery worker is not ready after {START_S:g} s: see the log")


async def _listen(process: Process[JobsSettings], worker: Worker, ready: asyncio.Event) -> None:
    """Hands its log on; a worker that ends by itself ends the service."""
    assert worker.stderr is not None
    while line := await _line(worker.stderr):
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
        if not ready.is_set() and b'"worker_ready"' in line and _event(line) == "worker_ready":
            ready.set()
    status = await worker.wait()
    if not process.stopping:
        raise Unavailable(f"a Celery worker ended with exit status {status}: see the log")


async def _line(reader: asyncio.StreamReader) -> bytes:
    """A line, or what came of one that is too long."""
    try:
        return await reader.readline()
    except ValueError:
        return b"(a line that was too long is left out)\n"


def _event(line: bytes) -> object:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    return parsed.get("event") if isinstance(parsed, dict) else None


async def _measure(book: JobBook, metrics: JobsMetrics, group: str) -> None:
    while True:
        with suppress(LiveStarError):
            metrics.note_outcomes(await book.outcomes(group))
            metrics.note_active(await book.active(), time.time_ns())
        await asyncio.sleep(LOOK_EVERY_S)


async def _stop(workers: list[Worker], drain_s: float) -> None:
    """Asks them to finish, and ends those that do not within `drain_s`."""
    for worker in workers:
        with suppress(ProcessLookupError):
            worker.send_signal(signal.SIGTERM)
    ends = [asyncio.ensure_future(worker.wait()) for worker in workers]
    _, late = await asyncio.wait(ends, timeout=max(1.0, drain_s - 1.0))
    if late:
        log.warning("workers did not finish in time: ending them")
        for worker in workers:
            with suppress(ProcessLookupError):
                worker.kill()
        await asyncio.wait(ends)


def main() -> int:
    """Runs the service."""
    return run("jobs", JobsSettings, serve)
