"""A real service as a process: `python -m services NAME`, on free ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_S = 60.0


class ServiceProcess:
    """Running and ready.

    Attributes:
        pid: of the process.
        grpc: `host:port` of its gRPC server.
        http: `host:port` of /metrics.
    """

    def __init__(self, name: str, redis_url: str, log: Path, **settings: object) -> None:
        self.name, self._log = name, log
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("LIVESTAR_")}
        wanted = {"GRPC_PORT": 0, "HTTP_PORT": 0, **settings}
        variables = {f"LIVESTAR_{name}_{key}".upper(): str(value) for key, value in wanted.items()}
        with log.open("w") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services", name, "--parent", str(os.getpid())],
                cwd=ROOT,
                env={**inherited, "REDIS_URL": redis_url, **variables},
                stdout=out,
                stderr=out,
            )
        self.pid = self._process.pid
        ready = self._ready()
        self.grpc, self.http = ready["grpc"], ready["http"]

    def send(self, signum: signal.Signals) -> None:
        self._process.send_signal(signum)

    def end(self, signum: signal.Signals = signal.SIGTERM, *, within_s: float = 30.0) -> int:
        """Stops it; returns its exit status."""
        if self._process.poll() is None:
            # A process that was stopped with SIGSTOP hears nothing else.
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signum)
        return self._process.wait(within_s)

    def said(self) -> str:
        return self._log.read_text()

    def _ready(self) -> dict[str, str]:
        until_s = time.monotonic() + START_S
        while time.monotonic() < until_s:
            assert self._process.poll() is None, self.said()
            for line in self.said().splitlines():
                if '"event": "ready"' in line:
                    found: dict[str, str] = json.loads(line)
                    return found
            time.sleep(0.05)
        raise AssertionError(self.said())


@contextmanager
def service(name: str, redis_url: str, log: Path, **settings: object) -> Iterator[ServiceProcess]:
    """The process while it is needed; killed at the end where it still runs."""
    process = ServiceProcess(name, redis_url, log, **settings)
    try:
        yield process
    finally:
        process.end(signal.SIGKILL)
