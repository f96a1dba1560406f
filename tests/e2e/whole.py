"""The running system, for tests and benches: started as `livestar up` starts it, and looked at from outside."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from livestar.client.system import System, SystemSettings
from livestar.client.system.plan import free_port
from livestar.media import write_video
from livestar.synth import Clip

SERVICES = ("memory", "vision", "decoder", "ingest", "gateway", "jobs")


@dataclass(frozen=True)
class Whole:
    """A system that runs.

    Attributes:
        url: of its gateway.
        redis_url: of its Redis.
        logs: folder of its logs.
        check: raises where a service has ended.
    """

    url: str
    redis_url: str
    logs: Path
    check: Callable[[], None]

    def http(self, service: str) -> str:
        """Address of a service's /metrics, as it announced it."""
        return next(f"http://{line['http']}" for line in self.log(service) if line.get("event") == "ready")

    def log(self, service: str) -> Iterator[dict[str, Any]]:
        """What a service has said so far."""
        for line in (self.logs / f"{service}.log").read_text().splitlines():
            yield json.loads(line) if line.startswith("{") else {"level": "?", "message": line}

    def complaints(self) -> list[str]:
        """What any service called an error, and what it said in no form at all."""
        found = {
            name: [line for line in self.log(name) if line["level"] in ("ERROR", "?")] for name in SERVICES
        }
        return [f"{name}: {line['message']}" for name, lines in found.items() for line in lines]

    def processes(self) -> dict[str, psutil.Process]:
        """The processes of the services."""
        found: dict[str, psutil.Process] = {}
        for child in psutil.Process().children():
            with suppress(psutil.ZombieProcess):
                command = child.cmdline()
                if "services" in command:
                    found[command[command.index("services") + 1]] = child
        return found

    def create(self, **body: object) -> dict[str, Any]:
        """Creates a stream; returns what the gateway answers."""
        with self.client() as client:
            response = client.post("/v1/streams", json=body, timeout=30)
            assert response.status_code == 201, response.text
            return dict(response.json())

    def stream(self, stream: str) -> dict[str, Any]:
        """One stream, as the gateway shows it."""
        with self.client() as client:
            response = client.get(f"/v1/streams/{stream}")
            assert response.status_code == 200, response.text
            return dict(response.json())

    def state(self, stream: str) -> str:
        """What a stream is doing."""
        return str(self.stream(stream)["state"]).removeprefix("STREAM_STATE_").lower()

    def client(self) -> httpx.Client:
        """Speaks to the gateway."""
        return httpx.Client(base_url=self.url, timeout=20, trust_env=False)


@contextmanager
def running(
    logs: Path, files: Path, environment: Mapping[str, str] | None = None, *, redis_url: str = ""
) -> Iterator[Whole]:
    """Every service as a process, and a real Redis of their own unless one is given.

    Args:
        logs: where their logs go.
        files: folder of recordings that may be watched.
        environment: settings of services, such as LIVESTAR_GATEWAY_MAX_QUEUE.
        redis_url: a Redis that somebody else runs.
    """
    from livestar.client.running_system import RunningSystem

    settings = SystemSettings(
        port=free_port(), logs=logs, files=(files,), jobs_dir=logs / "jobs", redis_url=redis_url
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        with System(settings) as system:
            found = RunningSystem.find()
            assert found is not None
            assert found.pid == os.getpid()
            yield Whole(system.url, found.redis_url, logs, system.check)


def write_clip(clip: Clip, path: Path, *, fps: int = 5, size: int = 320) -> Path:
    """A clip as a file, with a keyframe every second, as a camera sends."""
    frames = (clip.render(index / fps, size) for index in range(int(clip.seconds * fps)))
    write_video(path, frames, Fraction(fps), keyframe_every=fps)
    return path


def soon(what: Callable[[], bool], within_s: float = 30.0) -> bool:
    """Whether something comes true in time."""
    deadline_s = time.monotonic() + within_s
    while not what():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.1)
    return True
