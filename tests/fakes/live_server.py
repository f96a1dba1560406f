"""An HTTP server that sends a transport stream to each who connects, as a camera's gateway would: no length, no seeking."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)


class LiveServer:
    """Serves connection after connection what it was given; the last one silence, or nobody listens any more."""

    def __init__(self, parts: Sequence[bytes], *, then_hang: bool, breaks_off: bool) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._parts = list(parts)
        self._then_hang = then_hang
        self._last_chunk = b"" if breaks_off else b"0\r\n\r\n"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.url = f"http://user:hunter2@127.0.0.1:{self._listener.getsockname()[1]}/live.ts?token=hunter2"

    def _serve(self) -> None:
        with suppress(OSError), self._listener:
            for part in self._parts:
                connection, _ = self._listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(HEAD + b"%x\r\n" % len(part) + part + b"\r\n" + self._last_chunk)
            if self._then_hang:
                connection, _ = self._listener.accept()
                with connection:
                    self._over.wait(30)

    def __enter__(self) -> LiveServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        with suppress(OSError):
            # Wakes a thread that still waits for somebody.
            socket.create_connection(self._listener.getsockname(), timeout=0.2).close()
        self._listener.close()
        self._thread.join(5)


@contextmanager
def live_server(*parts: bytes, then_hang: bool = False, breaks_off: bool = False) -> Iterator[str]:
    """The address of a server that sends these parts, one a connection, and ends each properly or not."""
    with LiveServer(parts, then_hang=then_hang, breaks_off=breaks_off) as server:
        yield server.url


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def file_server(folder: Path) -> Iterator[str]:
    """The address of a server that gives out the files of a folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
