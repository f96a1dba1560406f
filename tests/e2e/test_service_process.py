"""The frame of a service, as a real process: readiness, signals, exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from livestar.api.v1 import vision_pb2, vision_pb2_grpc
from livestar.bus import EmbeddedRedis

pytestmark = pytest.mark.e2e

TESTS = Path(__file__).parents[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Running:
    """The program, and what it says."""

    def __init__(self, redis_url: str, log: Path, **settings: object) -> None:
        self.grpc_port, self.http_port = free_port(), free_port()
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("LIVESTAR_ECHO_")
        }
        wanted = {"GRPC_PORT": self.grpc_port, "HTTP_PORT": self.http_port, **settings}
        variables = {f"LIVESTAR_ECHO_{name}": str(value) for name, value in wanted.items()}
        self.log = log
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fakes.service_main"],
                cwd=TESTS,
                env={**inherited, "REDIS_URL": redis_url, **variables},
                stdout=out,
                stderr=out,
            )

    def ready(self) -> tuple[bool, dict[str, str]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/readyz", timeout=5) as answer:
                return True, json.load(answer)["checks"]
        except urllib.error.HTTPError as error:
            with error:
                return False, json.load(error)["checks"]
        except urllib.error.URLError:
            return False, {}

    def until_ready(self, *, wanted: bool = True, check: str = "") -> dict[str, str]:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            ready, checks = self.ready()
            if ready is wanted and (not check or check in checks):
                return checks
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.03)
        raise AssertionError(self.log.read_text())

    def end(self, signum: signal.Signals | None = None, within_s: float = 20) -> int:
        if signum:
            self.process.send_signal(signum)
        return self.process.wait(within_s)

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def start(redis_server: EmbeddedRedis, tmp_path: Path) -> Iterator[object]:
    started: list[Running] = []

    def start(redis_url: str = redis_server.url, **settings: object) -> Running:
        started.append(Running(redis_url, tmp_path / f"log-{len(started)}", **settings))
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.process.wait()


def serving(channel: grpc.Channel) -> bool:
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def test_sigterm_refuses_new_work_finishes_what_is_under_way_and_exits_0(start: type[Running]) -> None:
    running = start(WORK_S=0.6)
    running.until_ready()
    with grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel, ThreadPoolExecutor() as pool:
        assert serving(channel)
        call = pool.submit(
            vision_pb2_grpc.VisionServiceStub(channel).Describe, vision_pb2.DescribeRequest(), timeout=10
        )
        time.sleep(0.2)
        assert running.end(signal.SIGTERM) == 0
        assert call.result().model_id == "echo"
    assert [line["message"] for line in running.lines()] == ["ready", "drained"]


def test_redis_away_is_not_ready_and_says_why_until_it_comes(start: type[Running]) -> None:
    port = free_port()
    running = start(redis_url=f"redis://:hunter2@127.0.0.1:{port}/0")
    checks = running.until_ready(wanted=False, check="redis")
    assert "does not answer" in checks["redis"]
    assert running.end(signal.SIGTERM) == 0, "asked to stop while it waits, it stops"
    waiting = start(redis_url=f"redis://127.0.0.1:{port}/0")
    waiting.until_ready(wanted=False, check="redis")
    with EmbeddedRedis(port=port):
        waiting.until_ready()
        with grpc.insecure_channel(f"127.0.0.1:{waiting.grpc_port}") as channel:
            assert serving(channel)
    checks = waiting.until_ready(wanted=False)
    assert "does not answer" in checks["redis"]
    with grpc.insecure_channel(f"127.0.0.1:{waiting.grpc_port}") as channel:
        assert not serving(channel)
    assert waiting.end(signal.SIGINT) == 0
    assert "hunter2" not in running.log.read_text()


def test_a_task_that_dies_takes_the_process_with_it(start: type[Running]) -> None:
    running = start(FAIL_AFTER_S=0.2)
    assert running.end() == 1
    [line] = [line for line in running.lines() if line["level"] == "ERROR"]
    assert line["message"] == "doomed failed: the task died"
    assert "RuntimeError" in str(line["error"])


@pytest.mark.parametrize("which", ["GRPC_PORT", "HTTP_PORT"])
def test_a_port_in_use_is_one_sentence_and_exit_1(start: type[Running], which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = start(**{which: port})
        assert running.end() == 1
    [error] = [line for line in running.lines() if line["level"] == "ERROR"]
    assert re.match(rf"127.0.0.1:{port} cannot be listened on.*another one$", str(error["message"]))
    assert "error" not in error


def test_bad_settings_exit_2_naming_the_key(start: type[Running]) -> None:
    running = start(GRPC_PROT=1, WORK_S="much")
    assert running.end() == 2
    assert running.log.read_text().startswith("LIVESTAR_ECHO_GRPC_PROT: no such setting")
    running = start(WORK_S="much", HTTP_PORT=70000)
    assert running.end() == 2
    said = running.log.read_text()
    assert "LIVESTAR_ECHO_WORK_S: " in said
    assert "LIVESTAR_ECHO_HTTP_PORT: " in said
    assert said.count("\n") == 1


def test_services_are_started_by_name() -> None:
    root = TESTS.parent
    outcome = subprocess.run(
        [sys.executable, "-m", "services", "nothing"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 2
    assert (
        outcome.stderr
        == "usage: python -m services {ingest,vision,memory,decoder,gateway,jobs} [--parent PID]\n"
    )
