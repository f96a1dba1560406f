"""A Celery worker of ours: `python -m services.jobs.worker QUEUE GROUP PARENT`. Started by `main.py`; goes with it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import uuid
import warnings

from celery import Celery
from celery.platforms import SecurityWarning
from celery.signals import beat_embedded_init, setup_logging, worker_process_init, worker_ready

from livestar.bus import RedisLink, keys
from livestar.bus.job_book import JobBook
from livestar.bus.job_queue import NARRATE, NARRATIONS, SWEEP, SWEEPS, celery_app, nudge
from livestar.client.gateway_client import GatewayClient
from livestar.core.errors import LeaseLost
from livestar.obs import about, configure_logs
from livestar.service import settings_or_exit
from livestar.service.parent import die_with
from services.jobs.narration import Narration
from services.jobs.settings import JobsSettings
from services.jobs.sweep import Sweep, Swept

log = logging.getLogger("livestar.jobs")


def with_tasks(settings: JobsSettings, group: str) -> Celery:
    """The application with both tasks.

    Args:
        settings: how jobs are worked on.
        group: name of the replica, under which what its workers did is counted.
    """
    url = settings.redis_url.get_secret_value()
    app = celery_app(url, results_s=settings.job_retention_s)
    app.conf.update(
        beat_scheduler="celery.beat:Scheduler",
        beat_schedule={
            SWEEP: {"task": SWEEP, "schedule": settings.sweep_s, "options": {"expires": settings.sweep_s}}
        },
    )

    def narrate(job: str) -> str:
        with about(job=job):
            try:
                state = Narration(settings, f"{group}/{uuid.uuid4().hex[:8]}").work_on(job)
            except LeaseLost as error:
                log.warning("%s", error)
                return "lost"
            log.info("job %s", state or "is not to be had")
            return state or "not taken"

    def sweep() -> dict[str, int]:
        swept = asyncio.run(_sweep(settings, app))
        counts = {name: len(done) for name, done in vars(swept).items()}
        if any(counts.values()):
            log.info("swept", extra=counts)
        return counts

    app.task(name=NARRATE)(narrate)
    app.task(name=SWEEP, ignore_result=True)(sweep)
    return app


async def _sweep(settings: JobsSettings, app: Celery) -> Swept:
    async with RedisLink(settings.redis_url.get_secret_value(), max_connections=4) as link:
        # Every replica beats; one of them sweeps.
        if not await JobBook(link).may_sweep(every_s=settings.sweep_s * 0.9):
            return Swept()
        token = settings.gateway_token.get_secret_value()
        with GatewayClient(settings.gateway, token) as gateway:
            return await Sweep(link, gateway, settings, lambda job: nudge(app, job)).run()


def _log(settings: JobsSettings) -> None:
    configure_logs("jobs", level=settings.log_level, style=settings.log_format)
    # A line or three for every task; what matters of ours is said by us.
    logging.getLogger("celery").setLevel("WARNING")


def main() -> int:
    """Runs a worker of one queue to its end."""
    queue, group, parent = sys.argv[1:]
    die_with(int(parent))
    settings = settings_or_exit(JobsSettings)
    keys.use_prefix(settings.key_prefix)
    setup_logging.connect(lambda **_: _log(settings), weak=False)
    worker_ready.connect(
        lambda **_: log.info("worker ready", extra={"event": "worker_ready", "queue": queue}), weak=False
    )
    own = os.getpid()
    for begins in (beat_embedded_init, worker_process_init):
        # What a process asked of the kernel for itself does not hold for those that it forks.
        begins.connect(lambda **_: None if os.getpid() == own else die_with(own), weak=False)
    # It warns root of pickle; nothing but JSON is accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app = with_tasks(settings, group)
    options = [
        "-Q",
        queue,
        "-n",
        f"{queue}@{group}",
        "--without-gossip",
        "--without-mingle",
        "-l",
        settings.log_level,
    ]
    if queue == NARRATIONS:
        options += [
            "--pool",
            settings.pool,
            "--concurrency",
            str(1 if settings.pool == "solo" else settings.concurrency),
        ]
    if queue == SWEEPS:
        options += ["--pool", "solo", "--beat"]
    app.worker_main(["--quiet", "worker", *options])
    return 0


if __name__ == "__main__":
    sys.exit(main())
