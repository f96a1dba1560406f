"""The jobs service as it runs: Celery workers, a real Redis, the command line; killed, stopped and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from e2e.command import Outcome
from fakes.edge import Edge, story
from livestar.bus import EmbeddedRedis

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

Enter = Callable[..., Outcome]
WAIT_S = 60


@dataclass
class Service:
    """A running jobs service."""

    process: subprocess.Popen[bytes]
    http: str

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=5) as answer:
            return str(answer.read().decode())


@contextmanager
def service(edge: Edge, redis_url: str, folder: Path, **settings: str) -> Iterator[Service]:
    own = {
        "REDIS_URL": redis_url,
        "GATEWAY": edge.url,
        "OUT_DIR": str(folder),
        "HTTP_PORT": "0",
        "SWEEP_S": "0.5",
        "SILENT_S": "2",
        "DRAIN_S": "8",
        **settings,
    }
    environment = {**os.environ, **{f"LIVESTAR_JOBS_{name}": value for name, value in own.items()}}
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"service-{time.monotonic_ns()}.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "services", "jobs"],
            env=environment,
            stderr=said,
            stdout=subprocess.DEVNULL,
        )
    try:
        yield Service(process, ready(process, log))
    finally:
        process.kill()
        process.wait()


def ready(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where it listens, once it is ready."""
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        for line in log.read_text().splitlines():
            if '"event": "ready"' in line:
                return str(json.loads(line)["http"])
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.fixture
def redis_url() -> Iterator[str]:
    with EmbeddedRedis() as server:
        yield server.url


@pytest.fixture
def jobs(enter: Enter, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("REDIS_URL", redis_url)

    def jobs(*arguments: str | Path) -> Any:
        got = enter("jobs", *arguments, "--json")
        assert got.status == 0, got.err
        return [json.loads(line) for line in got.out.splitlines()]

    return jobs


def soon(jobs: Callable[..., Any], job: str, state: str, sequence: int = 0) -> dict[str, Any]:
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        [info] = jobs("show", job)
        if info["state"] == state and info["progress"]["sequence"] >= sequence:
            return dict(info)
        time.sleep(0.1)
    raise AssertionError(info)


@pytest.mark.parametrize("pool", ["solo", "prefork", "threads"])
def test_a_recording_is_narrated_in_every_pool(
    pool: str, clip: Path, redis_url: str, jobs: Callable[..., Any], tmp_path: Path
) -> None:
    with Edge() as edge, service(edge, redis_url, tmp_path / "jobs", POOL=pool) as running:
        [done] = jobs("narrate", clip, "--out", tmp_path / "out")
        assert (done["state"], done["progress"]["num_captions"]) == ("done", 3)
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            "clip.jsonl",
            "clip.srt",
            "clip.vtt",
        ]
        time.sleep(2.5)
        assert 'livestar_jobs_ended_total{state="done"} 1.0' in running.metrics()
        workers = psutil.Process(running.process.pid).children(recursive=True)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
    assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_job_whose_worker_goes_is_finished_by_another(
    signum: signal.Signals, pool: str, clip: Path, redis_url: str, jobs: Callable[..., Any], tmp_path: Path
) -> None:
    with Edge(story()[:3], hold=threading.Event()) as edge:
        with service(edge, redis_url, tmp_path, POOL=pool) as first:
            jobs("narrate", clip, "--id", "match")
            soon(jobs, "match", "running", sequence=3)
            workers = psutil.Process(first.process.pid).children(recursive=True)
            first.process.send_signal(signum)
            first.process.wait(20)
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert alive == []
        if signum == signal.SIGTERM:
            assert jobs("show", "match")[0]["state"] == "queued"
        edge.events = story()
        with service(edge, redis_url, tmp_path, POOL=pool):
            done = soon(jobs, "match", "done")
    assert done["attempt"] == (2 if signum == signal.SIGKILL else 1)
    lines = [json.loads(line) for line in Path(done["files"]["jsonl"]).read_text().splitlines()]
    assert [line["sequence"] for line in lines] == [1, 2, 3, 4, 5]
    assert edge.asked("GET")[-1].endswith("?after=3")


def test_a_running_job_can_be_cancelled_and_long_ones_do_not_hold_up_the_sweep(
    clip: Path, redis_url: str, jobs: Callable[..., Any], tmp_path: Path
) -> None:
    with Edge(story()[:3], hold=threading.Event()) as edge, service(edge, redis_url, tmp_path, POOL="solo"):
        jobs("narrate", clip, "--id", "one")
        jobs("narrate", clip, "--id", "two")
        soon(jobs, "one", "running", sequence=3)
        assert jobs("cancel", "two")[0]["state"] == "cancelled"
        jobs("cancel", "one")
        soon(jobs, "one", "cancelled")
        assert [info["state"] for info in jobs("list")] == ["cancelled", "cancelled"]


def test_a_worker_that_dies_ends_the_service(redis_url: str, tmp_path: Path) -> None:
    with Edge() as edge, service(edge, redis_url, tmp_path) as running:
        psutil.Process(running.process.pid).children()[0].kill()
        assert running.process.wait(30) == 1


def test_settings_that_cannot_work_are_one_line() -> None:
    environment = {**os.environ, "LIVESTAR_JOBS_POOL": "gevent", "LIVESTAR_JOBS_TYPO": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "services", "jobs"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("LIVESTAR_JOBS_TYPO: no such setting")
