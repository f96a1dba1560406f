"""Settings of jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from livestar.service import GATEWAY_PORT, HTTP_PORTS, Port, ServiceSettings

Seconds = Annotated[float, Field(gt=0, le=30 * 86_400)]


class JobsSettings(ServiceSettings, env_prefix="LIVESTAR_JOBS_"):
    """How jobs are worked on.

    Attributes:
        gateway: address of the gateway, http://host:port.
        gateway_token: what it wants to hear; empty: nothing.
        how: "system": a recording becomes a stream of the running system, as fast as it can be decided; "process": each is
            narrated by a process of this worker's own, with its own copy of the network.
        model: of "process": a shipped model, or a checkpoint folder.
        out_dir: folder for what is written, one folder a job.
        pool: Celery's: "prefork" (a process per job), "threads", or "solo" (one job at a time).
        concurrency: jobs at a time, but with "solo".
        silent_s: a job whose worker was not heard of for so long is taken by another.
        stalled_s: a job of which nothing has come for so long has failed.
        sweep_s: pause between sweeps, over all replicas.
        stream_retention_s: what is kept of a stream is deleted so long after its end.
        job_retention_s: a finished job and its files are deleted after so long.
        unowned_s: a stream that should run and that nobody has owned for so long is over.
    """

    http_port: Port = HTTP_PORTS["jobs"]
    gateway: str = f"http://127.0.0.1:{GATEWAY_PORT}"
    gateway_token: SecretStr = SecretStr("")
    how: Literal["system", "process"] = "system"
    model: str = "nano"
    out_dir: Path = Path("jobs")
    pool: Literal["solo", "prefork", "threads"] = "threads"
    concurrency: Annotated[int, Field(ge=1, le=64)] = 2
    silent_s: Seconds = 15.0
    stalled_s: Seconds = 300.0
    sweep_s: Seconds = 30.0
    stream_retention_s: Seconds = 86_400.0
    job_retention_s: Seconds = 7 * 86_400.0
    unowned_s: Seconds = 600.0
