"""Nudges the workers through Celery. Never imported with the package: Celery is slow to load."""

from __future__ import annotations

import ssl
from urllib.parse import quote, urlsplit

from celery import Celery

from livestar.bus import keys

NARRATE, NARRATIONS = "livestar.narrate", "narrations"
"""Name of the task that works on a job, and of its queue."""
SWEEP, SWEEPS = "livestar.sweep", "sweeps"
"""Name of the task that clears up, and of its queue."""


def celery_app(redis_url: str, *, results_s: float = 86_400.0) -> Celery:
    """An application on this Redis, with keys of our own prefix. It connects when it is used.

    Args:
        redis_url: redis://, rediss:// or unix://.
        results_s: how long Celery keeps results.
    """
    url = _for_celery(redis_url)
    app = Celery("livestar", broker=url, backend=url, set_as_current=False)
    own = {"global_keyprefix": keys.job_queue_prefix()}
    app.conf.update(
        broker_transport_options={
            **own,
            "visibility_timeout": 3600,
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
        },
        result_backend_transport_options=own,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_default_queue=NARRATIONS,
        task_routes={SWEEP: {"queue": SWEEPS}},
        task_ignore_result=False,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        result_expires=round(results_s),
        # The book says who works on what; a nudge that is lost comes again with the next sweep.
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        enable_utc=True,
        timezone="UTC",
    )
    if url.startswith("rediss://"):
        app.conf.update(
            broker_use_ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED},
            redis_backend_use_ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED},
        )
    return app


def nudge(app: Celery, job: str) -> None:
    """Tells the workers that a job waits. More than once does no harm."""
    app.send_task(
        NARRATE, (job,), queue=NARRATIONS, ignore_result=True, retry=True, retry_policy={"max_retries": 3}
    )


def _for_celery(url: str) -> str:
    if not url.startswith("unix://"):
        return url
    parts = urlsplit(url)
    return f"redis+socket://{quote(parts.path)}" + (
        f"?{parts.query.replace('db=', 'virtual_host=')}" if parts.query else ""
    )
