"""One service as a process of ours: started, heard, stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from logging import INFO, makeLogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path

MAX_LINE_BYTES = 64 * 1024
MAX_LOG_BYTES = 10 * 1024 * 1024
"""A log is renamed to NAME.log.1 at this size, over the one before."""
LAST_LINES = 30


@dataclass(frozen=True)
class Ready:
    """Where a service listens, as `host:port`; empty where it does not.

    Attributes:
        grpc: its gRPC server.
        http: its /metrics, /healthz and /readyz.
    """

    grpc: str
    http: str


class Child:
    """A service that has been started. What it says goes into its log; the last lines are kept here.

    Start it from a thread that outlives it: see `livestar.service.parent`.

    Args:
        name: name of the service.
        command: what to run.
        environment: all of its variables.
        log: file of its log.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self.ready: Ready | None = None
        self._said: deque[str] = deque(maxlen=LAST_LINES)
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for us, who stop them in order.
            start_new_session=True,
        )
        self._hearing = threading.Thread(target=self._hear, name=f"log {name}", daemon=True)
        self._hearing.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def exit_status(self) -> int | None:
        """None while it runs; negative: the signal that killed it."""
        status = self._process.poll()
        if status is not None:
            # Its last words may still be on their way.
            self._hearing.join(1.0)
        return status

    def last_lines(self) -> list[str]:
        """What it said last, for people."""
        return list(self._said)

    def ask_to_stop(self) -> None:
        """Asks it to drain and exit."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it now."""
        self._signal(signal.SIGKILL)

    def wait(self, deadline_s: float) -> bool:
        """Whether it has ended by `deadline_s` on the monotonic clock."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline_s - time.monotonic()))
        return self._process.poll() is not None

    def close(self) -> None:
        """Lets its log go, once it has ended."""
        self._hearing.join(1.0)

    def _signal(self, signum: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(signum)

    def _hear(self) -> None:
        assert self._process.stdout is not None
        log = RotatingFileHandler(self.log, maxBytes=MAX_LOG_BYTES, backupCount=1, encoding="utf-8")
        with self._process.stdout as said:
            while line := said.readline(MAX_LINE_BYTES):
                text = line.decode(errors="replace").rstrip("\n")
                log.emit(makeLogRecord({"msg": text, "levelno": INFO}))
                self._take(text)
        log.close()

    def _take(self, line: str) -> None:
        fields = _fields(line)
        self._said.append(_for_people(fields) if fields else line)
        if fields.get("event") == "ready":
            self.ready = Ready(str(fields.get("grpc") or ""), str(fields.get("http") or ""))


def _fields(line: str) -> dict[str, object]:
    """A line of JSON; empty for any other."""
    if not line.startswith("{"):
        return {}
    try:
        parsed = json.loads(line)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _for_people(fields: Mapping[str, object]) -> str:
    said = f"{str(fields.get('level', '')).lower()}: {fields.get('message', '')}"
    # Of a traceback the last line says what it was.
    error = str(fields.get("error") or "").strip().splitlines()
    return f"{said} ({error[-1].strip()})" if error else said
