"""Those who listen to a stream, each on a thread of its own; they keep everything as it came, duplicates too."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import websockets.sync.client
from google.protobuf import json_format

from livestar.api.v1 import common_pb2, events_pb2
from livestar.client.server_events import ServerEvent, server_events

FINAL = {common_pb2.STREAM_STATE_STOPPED, common_pb2.STREAM_STATE_ENDED, common_pb2.STREAM_STATE_FAILED}
SILENT_S = 60.0


class Subscriber(threading.Thread):
    """Listens from the first event to the final state.

    Args:
        url: of the gateway.
        stream: the stream.
        leaves_after: hangs up behind the first event of at least this sequence, and resumes by its cursor.

    Attributes:
        events: as they came.
        cursors: the id of each.
        others: kinds of what else came, such as `lagging`.
        connections: how often it connected.
    """

    def __init__(self, url: str, stream: str, *, leaves_after: int = 0) -> None:
        super().__init__(name=f"subscriber of {stream}", daemon=True)
        self.events: list[events_pb2.StreamEvent] = []
        self.cursors: list[str] = []
        self.others: list[str] = []
        self.connections = 0
        self._url = f"{url}/v1/streams/{stream}/events"
        self._leaves_after = leaves_after
        self._failed: BaseException | None = None

    def run(self) -> None:
        """Listens."""
        try:
            self._listen()
        except Exception as error:  # told to whoever waits for it
            self._failed = error

    def until_over(self, within_s: float) -> list[events_pb2.StreamEvent]:
        """Everything that came, when the stream is over."""
        self.join(within_s)
        assert not self.is_alive(), f"{self.name} still waits; it has {len(self.events)} events"
        if self._failed:
            raise self._failed
        return self.events

    @property
    def over(self) -> bool:
        """Whether the last event says that the stream is over."""
        return bool(self.events) and self.events[-1].state_changed.state in FINAL

    def sequences(self) -> list[int]:
        """Of the stream's own events; what the gateway itself says has none."""
        return [event.sequence for event in list(self.events) if event.sequence]

    def decided_frame(self) -> int:
        """Sequence of the newest frame whose decision came."""
        return max((e.frame_sequence for e in list(self.events) if e.HasField("decision")), default=0)

    def _listen(self) -> None:
        while not self.over:
            assert self.connections < 200, "it never ends"
            for event in self._connected():
                self.cursors.append(event.id)
                self.events.append(json_format.Parse(event.data, events_pb2.StreamEvent()))
                if 0 < self._leaves_after <= self.events[-1].sequence:
                    self._leaves_after = 0
                    break

    def _connected(self) -> Iterator[ServerEvent]:
        self.connections += 1
        headers = {"Accept": "text/event-stream"}
        if cursor := next(filter(None, reversed(self.cursors)), ""):
            headers["Last-Event-ID"] = cursor
        timeout = httpx.Timeout(SILENT_S, connect=5)
        with (
            httpx.Client(trust_env=False, timeout=timeout) as client,
            client.stream("GET", self._url, params={"after": 0}, headers=headers) as response,
        ):
            if response.status_code == 503:
                # Redis is away: a browser tries again, too.
                self.others.append("503")
                time.sleep(0.5)
                return
            assert response.status_code == 200, response.read()
            for event in server_events(response.iter_bytes()):
                if event.kind in ("lagging", "error"):
                    self.others.append(event.kind)
                    return
                yield event


class SocketSubscriber(Subscriber):
    """The same over a WebSocket; does not resume."""

    def _listen(self) -> None:
        self.connections += 1
        url = self._url.replace("http://", "ws://").removesuffix("/events") + "/ws?after=0"
        with websockets.sync.client.connect(url, proxy=None) as socket:
            while not self.over:
                said: dict[str, Any] = json.loads(socket.recv(SILENT_S))
                if "event" not in said:
                    self.others.append(said["type"])
                    continue
                event = json_format.ParseDict(said["event"], events_pb2.StreamEvent())
                self.events.append(event)
                self.cursors.append(str(event.sequence))
