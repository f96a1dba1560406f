"""An edge that speaks the gateway's HTTP, with a script behind it: for what a real one will not do on demand."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from google.protobuf import json_format

from livestar.api.v1 import common_pb2, events_pb2

STATES = common_pb2.StreamState


def spoke(
    sequence: int, pts_s: float, text: str, channel: str = "narration", stream: str = "door"
) -> events_pb2.StreamEvent:
    """A caption."""
    event = _event(sequence, pts_s, stream)
    decision = event.decision
    decision.channel, decision.text, decision.clip, decision.alpha = channel, text, 1, 1.07
    decision.action, decision.rule = events_pb2.ACTION_SPEAK, events_pb2.RULE_PERPLEXITY
    decision.ending = events_pb2.ENDING_COMPLETE
    decision.nll = decision.reference_nll = decision.new_reference_nll = float("nan")
    event.captured_at_ns, event.decided_at_ns = 10**18, 10**18 + 250_000_000
    return event


def became(
    sequence: int, pts_s: float, state: str, reason: str = "", stream: str = "door"
) -> events_pb2.StreamEvent:
    """A change of state."""
    event = _event(sequence, pts_s, stream)
    event.state_changed.state = STATES.Value(f"STREAM_STATE_{state.upper()}")
    event.state_changed.reason = reason
    return event


def missed(after: int, oldest: int, stream: str = "door") -> events_pb2.StreamEvent:
    """Events that are no longer kept."""
    event = events_pb2.StreamEvent(stream_id=stream)
    event.events_missed.after_sequence, event.events_missed.oldest_sequence = after, oldest
    return event


def story(num_captions: int = 3, stream: str = "door") -> list[events_pb2.StreamEvent]:
    """A stream that runs, speaks every two seconds, and ends."""
    captions = [spoke(2 + n, 2.0 * n, f"Caption {n}.", stream=stream) for n in range(num_captions)]
    end = became(2 + num_captions, 2.0 * num_captions, "ended", stream=stream)
    return [became(1, 0.0, "running", stream=stream), *captions, end]


def _event(sequence: int, pts_s: float, stream: str) -> events_pb2.StreamEvent:
    frame = int(pts_s) + 1
    return events_pb2.StreamEvent(
        stream_id=stream, sequence=sequence, frame_sequence=frame, pts_ns=round(pts_s * 1e9), epoch=1
    )


@dataclass
class Edge:
    """What it serves, and what it was asked. A context manager.

    Attributes:
        events: of every stream; each subscription gets those behind its cursor.
        of_stream: events of these streams instead.
        cut_after: sizes of the first subscriptions, after which each is cut off; later ones are whole.
        lagging: whether it says that the subscriber was too slow when it cuts off.
        refusals: problem documents with which the next subscriptions are refused, as (status, body).
        hold: subscriptions stay open at their end until it is set.
        requests: method, path with query, and body of each.
    """

    events: list[events_pb2.StreamEvent] = field(default_factory=story)
    of_stream: dict[str, list[events_pb2.StreamEvent]] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)
    lagging: bool = False
    refusals: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    token: str = ""
    hold: threading.Event | None = None
    requests: list[tuple[str, str, Any]] = field(default_factory=list)

    def __enter__(self) -> Self:
        edge = self

        class Handler(_Handler):
            served = edge

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.hold:
            self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def asked(self, method: str) -> list[str]:
        """Paths of the requests with this method."""
        return [path for used, path, _ in self.requests if used == method]


class _Handler(BaseHTTPRequestHandler):
    served: Edge

    def do_GET(self) -> None:
        self._note(None)
        address = urlsplit(self.path)
        if address.path.endswith("/events"):
            self._events(address.path.split("/")[3], parse_qs(address.query))
        elif address.path == "/v1/streams":
            self._answer(200, {"streams": [_info("door")], "next_page_token": ""})
        else:
            self._answer(200, _info(address.path.split("/")[3]))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._note(body)
        if self.served.token and self.headers.get("Authorization") != f"Bearer {self.served.token}":
            self._answer(401, {"detail": "say who you are", "reason": "Unauthenticated"})
        elif self.path.endswith("/questions"):
            self._asked(body["text"])
        elif body["source"].endswith("none.mp4"):
            self._answer(422, {"detail": "none.mp4 does not exist: check the path.", "reason": "BadVideo"})
        else:
            self._answer(201, _info(body.get("id", "s-1")))

    def do_DELETE(self) -> None:
        self._note(None)
        self._answer(200, _info("door"))

    def _asked(self, text: str) -> None:
        answer = {
            "pts_ns": "3000000000",
            "answer": {"question_id": "4", "text": f"About {text}", "ending": "ENDING_COMPLETE"},
        }
        if self.headers.get("Accept") != "text/event-stream":
            self._answer(200, answer)
            return
        self._begin()
        for kind, data in (("piece", {"piece": "About "}), ("piece", {"piece": text}), ("answer", answer)):
            self.wfile.write(f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode())

    def _events(self, stream: str, query: dict[str, list[str]]) -> None:
        edge = self.served
        if edge.refusals:
            self._answer(*edge.refusals.pop(0))
            return
        after = int(query.get("after", ["0"])[0])
        due = [
            event
            for event in edge.of_stream.get(stream, edge.events)
            if event.sequence > after or event.HasField("events_missed")
        ]
        cut = edge.cut_after.pop(0) if edge.cut_after else None
        self._begin()
        self.wfile.write(b"retry: 1000\n\n: alive\n\n")
        for event in due[:cut]:
            told = events_pb2.StreamEvent()
            told.CopyFrom(event)
            told.stream_id = stream
            data = json_format.MessageToJson(told, preserving_proto_field_name=True, indent=None)
            self.wfile.write(f"id: {event.sequence}\nevent: x\ndata: {data}\n\n".encode())
        if cut is not None:
            # In the middle of an event.
            self.wfile.write(b"event: lagging\ndata: {}\n\n" if edge.lagging else b'id: 99\ndata: {"strea')
        elif edge.hold:
            self.wfile.flush()
            edge.hold.wait(30)

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _note(self, body: Any) -> None:
        self.served.requests.append((self.command, self.path, body))

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def _info(stream: str) -> dict[str, Any]:
    return {
        "spec": {"stream_id": stream, "source": "rtsp://camera/1", "fps": 2.0},
        "state": "STREAM_STATE_RUNNING",
        "captured_sequence": "9",
        "decided_sequence": "7",
        "decided_pts_ns": "61000000000",
    }
