"""The gateway as it is started: ready, what it refuses, how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from livestar.bus import EmbeddedRedis

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 30


@contextmanager
def gateway(redis_url: str, **settings: object) -> Iterator[subprocess.Popen[str]]:
    """The process; killed at the end where it still runs."""
    wanted = {"PORT": 0, "GRPC_PORT": 0, "HTTP_PORT": 0, **settings}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LIVESTAR_")}
    paths = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    variables = {f"LIVESTAR_GATEWAY_{name}": str(value) for name, value in wanted.items()}
    with subprocess.Popen(
        [sys.executable, "-m", "services", "gateway"],
        env={**clean, "REDIS_URL": redis_url, "PYTHONPATH": paths, **variables},
        stderr=subprocess.PIPE,
        encoding="utf-8",
        cwd=ROOT,
    ) as process:
        guard = threading.Timer(WITHIN_S, process.kill)
        guard.start()
        try:
            yield process
        finally:
            guard.cancel()
            process.kill()


def told(process: subprocess.Popen[str], field: str) -> dict[str, str]:
    """The first line of its log that has this field."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        fields: dict[str, str] = json.loads(line)
        if field in fields:
            return fields
    raise AssertionError(f"it never told {field}: {''.join(said)}")


def test_it_says_where_it_listens_serves_and_drains(redis_server: EmbeddedRedis) -> None:
    with gateway(redis_server.url) as process:
        ready = told(process, "event")
        page = told(process, "page")["page"]
        assert (ready["event"], ready["service"]) == ("ready", "gateway")
        assert httpx.get(page).status_code == 200
        assert httpx.get(f"http://{ready['http']}/readyz").status_code == 200
        assert "livestar_gateway_connected_subscribers" in httpx.get(f"http://{ready['http']}/metrics").text
        created = httpx.post(f"{page}v1/streams", json={"source": "clip.mp4", "id": "drained"})
        assert created.status_code == 201
        with httpx.stream("GET", f"{page}v1/streams/drained/events") as listening:
            lines = listening.iter_lines()
            assert next(lines) == "retry: 1000"
            process.send_signal(signal.SIGTERM)
            assert "event: error" in list(lines)
        assert process.wait(WITHIN_S) == 0


def test_a_port_in_use_is_one_sentence(redis_server: EmbeddedRedis) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with gateway(redis_server.url, PORT=port) as process:
            assert process.wait(WITHIN_S) == 1
            assert process.stderr is not None
            errors = [json.loads(line) for line in process.stderr]
    (error,) = [line for line in errors if line["level"] == "ERROR"]
    assert error["message"].startswith(f"127.0.0.1:{port} cannot be listened on")
    assert "error" not in error


@pytest.mark.parametrize(("name", "value"), [("MAX_QUEUE", "3"), ("PORT", "x"), ("TOKNE", "hunter2")])
def test_settings_that_cannot_work_are_named(redis_server: EmbeddedRedis, name: str, value: str) -> None:
    with gateway(redis_server.url, **{name: value}) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(WITHIN_S) == 2
    assert f"LIVESTAR_GATEWAY_{name}" in said
    assert "hunter2" not in said
