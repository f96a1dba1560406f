"""A real HTTP endpoint on this machine that speaks chat completions, and misbehaves as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]


@dataclass
class JudgeServer:
    """What was asked, and what to do about it: the nth request gets the nth answer, the last one ever after."""

    url: str
    answers: list[Answer]
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)  # names in lower case
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, request: dict[str, Any], headers: dict[str, str]) -> Answer:
        with self.lock:
            self.requests.append(request)
            self.headers.append(headers)
            return self.answers[min(len(self.requests), len(self.answers)) - 1]


def says(text: str | None) -> Answer:
    """A well-formed completion."""

    def answer(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": request["model"],
            "choices": [choice],
        }
        send(handler, 200, json.dumps(body))

    return answer


def scores(number: float) -> Answer:
    """The same number for every dimension that the request asks for."""

    def answer(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        form = request["messages"][0]["content"].rsplit("nothing else:\n", 1)[1]
        says(form.replace("<number>", str(number)))(handler, request)

    return answer


def fails(status: int, body: str = '{"error": {"message": "the key sk-secret is wrong"}}') -> Answer:
    return lambda handler, _: send(handler, status, body)


def drips(seconds: float) -> Answer:
    """A byte every tenth of a second: never late for a limit between two bytes."""

    def answer(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                handler.wfile.write(b" ")
                time.sleep(0.1)
        except OSError:
            return

    return answer


def send(handler: BaseHTTPRequestHandler, status: int, body: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body.encode())))
    handler.end_headers()
    handler.wfile.write(body.encode())


@contextmanager
def judge_server(*answers: Answer) -> Iterator[JudgeServer]:
    """Serves on 127.0.0.1 until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == "/v1/chat/completions"
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.take(request, headers)(self, request)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = JudgeServer(f"http://127.0.0.1:{http.server_port}/v1", list(answers))
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join(timeout=5)
        http.server_close()
