"""The system as processes, with stand-ins for the services: started, watched, stopped, and gone with whoever started it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from livestar.client.running_system import RunningSystem
from livestar.client.system import ServiceEnded, System, SystemSettings
from livestar.client.system.plan import STOP_ORDER, ServicePlan, environment_of, free_port, services_of
from livestar.core.errors import FailedPrecondition, LiveStarError, Unavailable

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).parents[1] / "fakes" / "service_program.py"
NAMES = [name for group in STOP_ORDER for name in group]


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary things, so that what is left over is seen."""
    (folder := tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def plans(folder: Path, **behaviours: str) -> tuple[ServicePlan, ...]:
    return tuple(
        ServicePlan(
            name,
            (
                sys.executable,
                str(PROGRAM),
                name,
                behaviours.get(name, "works"),
                str(folder),
                "--parent",
                str(os.getpid()),
            ),
        )
        for name in NAMES
    )


def settings(**changes: object) -> SystemSettings:
    return SystemSettings(port=free_port(), **changes)  # type: ignore[arg-type]


def pids(folder: Path) -> list[int]:
    return [int(path.read_text()) for path in folder.glob("*.pid")]


def soon(what: Callable[[], bool], within_s: float = 10.0) -> bool:
    deadline_s = time.monotonic() + within_s
    while not what() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return what()


def none_left(folder: Path) -> bool:
    return not any(psutil.pid_exists(pid) for pid in pids(folder))


def test_it_tells_who_is_ready_is_found_and_leaves_nothing(tmp_path: Path, scratch: Path) -> None:
    told: list[str] = []
    with System(settings(), told.append, plans(tmp_path)) as system:
        assert {line.split()[0] for line in told} == {"redis", *NAMES}
        assert all("ready" in line for line in told)
        system.check()
        found = RunningSystem.find()
        assert found is not None
        assert (found.pid, found.gateway_url) == (os.getpid(), system.url)
        note = RunningSystem.note()
        assert note.stat().st_mode & 0o777 == 0o600
        log = system.logs / "vision.log"
        assert json.loads(log.read_text().splitlines()[0])["message"] == "ready"
        environment = json.loads((tmp_path / "decoder.env").read_text())
        assert environment["OMP_NUM_THREADS"] == "1"
        assert environment["LIVESTAR_DECODER_REDIS_URL"] == found.redis_url
    assert RunningSystem.find() is None
    assert none_left(tmp_path)
    assert list(scratch.iterdir()) == []


@pytest.mark.slow
def test_they_stop_in_order(tmp_path: Path, scratch: Path) -> None:
    with System(settings(), plans=plans(tmp_path)):
        pass
    order = (tmp_path / "order").read_text().split()
    assert sorted(order) == sorted(NAMES)
    for group in STOP_ORDER:
        gone, order = order[: len(group)], order[len(group) :]
        assert set(gone) == set(group)


@pytest.mark.slow
def test_one_that_does_not_listen_is_ended(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livestar.client.system.system.STOP_S", 0.5)
    with System(settings(), plans=plans(tmp_path, vision="deaf")):
        assert len(pids(tmp_path)) == len(NAMES)
    assert none_left(tmp_path)


def watch(system: System) -> None:
    """Until something ends."""
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        system.check()
        time.sleep(0.02)


@pytest.mark.slow
def test_one_that_dies_is_said_with_its_last_words(tmp_path: Path, scratch: Path) -> None:
    with System(settings(), plans=plans(tmp_path, decoder="dies")) as system:
        with pytest.raises(ServiceEnded) as ended:
            watch(system)
        assert "decoder stopped with exit status 3: info: the pool is out of pages" in str(ended.value)
        assert "CapacityExceeded: none left" in ended.value.last_lines[-1]
    assert none_left(tmp_path)


def test_one_that_is_killed_is_said(tmp_path: Path, scratch: Path) -> None:
    with System(settings(), plans=plans(tmp_path)) as system:
        os.kill(int((tmp_path / "memory.pid").read_text()), signal.SIGKILL)
        with pytest.raises(
            ServiceEnded, match=r"memory was killed by signal 9 \(was memory short\?\): info: ready"
        ):
            watch(system)


@pytest.mark.slow
def test_one_that_cannot_start_is_said(tmp_path: Path, scratch: Path) -> None:
    with (
        pytest.raises(ServiceEnded, match=r"memory stopped with exit status 1: .*Address already in use"),
        System(settings(), plans=plans(tmp_path, memory="refuses")),
    ):
        pytest.fail("it must not be ready")
    assert none_left(tmp_path)
    assert RunningSystem.find() is None


@pytest.mark.slow
def test_one_that_is_never_ready_is_said(tmp_path: Path, scratch: Path) -> None:
    with (
        pytest.raises(ServiceEnded, match="gateway is not ready after 3 s"),
        System(settings(start_s=3.0), plans=plans(tmp_path, gateway="mute")),
    ):
        pytest.fail("it must not be ready")


def test_a_port_in_use_is_said_before_anything_starts(scratch: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(Unavailable, match=rf"port {port} .*choose another with --port"),
            System(SystemSettings(port=port)),
        ):
            pytest.fail("it must not start")
    assert list(scratch.iterdir()) == []


@pytest.mark.slow
def test_a_redis_that_is_away_is_said(tmp_path: Path, scratch: Path) -> None:
    url = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    with (
        pytest.raises(LiveStarError, match="does not answer") as away,
        System(settings(redis_url=url), plans=plans(tmp_path)),
    ):
        pytest.fail("it must not start")
    assert "hunter2" not in str(away.value)
    assert pids(tmp_path) == []


OWNER = """
import sys, time
sys.path[:0] = {paths!r}
from pathlib import Path
from integration.test_client_system import plans, settings
from livestar.client.system import System
with System(settings(), print, plans(Path(sys.argv[1]))) as system:
    print("up", flush=True)
    time.sleep(120)
"""


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.slow
def test_nothing_outlives_whoever_started_it(tmp_path: Path, scratch: Path, signum: signal.Signals) -> None:
    script = OWNER.format(paths=[str(Path(__file__).parents[1]), *sys.path])
    owner = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    assert owner.stdout is not None
    with owner.stdout as said:
        assert any(line == "up\n" for line in said)
        family = psutil.Process(owner.pid).children(recursive=True)
        assert len(family) > len(NAMES), "Redis is among them"
        owner.send_signal(signum)
        owner.wait(20)
    assert soon(lambda: not any(child.is_running() and child.status() != "zombie" for child in family))
    folder = scratch / f"livestar-{os.getuid()}"
    assert soon(lambda: [path for path in scratch.rglob("*") if path != folder] == []), list(
        scratch.rglob("*")
    )


def test_services_get_what_users_set_and_what_we_must_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESTAR_VISION_LOG_LEVEL", "ERROR")
    monkeypatch.setenv("LIVESTAR_VISION_DEVICE", "cuda")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    for plan in services_of(settings()):
        environment = environment_of(plan, redis_url="redis://127.0.0.1:1/0", temporary=tmp_path)
        assert environment[f"LIVESTAR_{plan.name.upper()}_LOG_LEVEL"] == "INFO", (
            "else nobody hears that it is ready"
        )
        assert environment["LIVESTAR_VISION_DEVICE"] == "cuda", "what a user sets is passed on"
        assert environment["OMP_NUM_THREADS"] == "3"


def test_a_note_of_a_process_that_is_gone_is_passed_over(scratch: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    RunningSystem(gone.pid, "http://127.0.0.1:1", "redis://127.0.0.1:1/0").announce()
    assert RunningSystem.find() is None
    RunningSystem.note().write_text("not JSON")
    assert RunningSystem.find() is None
    RunningSystem.note().unlink()


def test_a_folder_of_somebody_else_is_not_trusted(scratch: Path) -> None:
    """Whoever may write there could send our commands to a gateway of theirs."""
    (folder := RunningSystem.note().parent).mkdir(mode=0o700)
    RunningSystem(os.getpid(), "http://127.0.0.1:1", "").announce()
    assert RunningSystem.find() is not None
    folder.chmod(0o777)
    assert RunningSystem.find() is None
    with pytest.raises(FailedPrecondition, match="not this user's own"):
        RunningSystem(os.getpid(), "http://127.0.0.1:1", "").announce()
