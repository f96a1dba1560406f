"""A subscriber who never gives up: when its gateway is gone it asks the next one, behind the last event that it saw."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import httpx
from google.protobuf import json_format

from livestar.api.v1 import common_pb2, events_pb2
from livestar.client.server_events import server_events

FINAL = {common_pb2.STREAM_STATE_STOPPED, common_pb2.STREAM_STATE_ENDED, common_pb2.STREAM_STATE_FAILED}
SILENT_S = 4.0
"""Longest wait for a sign of life; gateways are told to give one every second."""


@dataclass(frozen=True)
class Heard:
    """An event, and when it came (monotonic clock, seconds)."""

    at_s: float
    event: events_pb2.StreamEvent


class Listener(threading.Thread):
    """See the module.

    Args:
        gateways: addresses, tried in turn.
        stream: the stream.
        first: which gateway it begins with.

    Attributes:
        heard: the stream's events as they came, duplicates too.
        over: whether the stream has said that it is over.
        lagging: how often it was told that it had been too slow.
    """

    def __init__(self, gateways: Sequence[str], stream: str, first: int) -> None:
        super().__init__(name=f"listener {stream}", daemon=True)
        self.stream = stream
        self.heard: list[Heard] = []
        self.over = False
        self.lagging = 0
        self.connections = 0
        self._gateways = gateways
        self._turn = first
        self._cursor = "0"
        self._leaving = threading.Event()

    def run(self) -> None:
        """Listens until the stream is over or `leave` is called."""
        while not self.over and not self._leaving.is_set():
            url = self._gateways[self._turn % len(self._gateways)]
            self.connections += 1
            with suppress(httpx.HTTPError):
                self._listen(url)
            self._turn += 1
            self._leaving.wait(0.1)

    def leave(self) -> None:
        """Ends it at its next event or timeout."""
        self._leaving.set()

    def decided_since(self, at_s: float) -> bool:
        """Whether a decision has come since then."""
        return any(h.at_s > at_s and h.event.HasField("decision") for h in reversed(self.heard[-50:]))

    def _listen(self, url: str) -> None:
        timeout = httpx.Timeout(SILENT_S, connect=1.0)
        headers = {"Accept": "text/event-stream", "Last-Event-ID": self._cursor}
        address = f"{url}/v1/streams/{self.stream}/events"
        with (
            httpx.Client(trust_env=False, timeout=timeout) as client,
            client.stream("GET", address, params={"after": 0}, headers=headers) as response,
        ):
            if response.status_code != 200:
                return
            for event in server_events(response.iter_bytes()):
                if self._leaving.is_set():
                    return
                if event.kind in ("lagging", "error"):
                    self.lagging += event.kind == "lagging"
                    return
                if event.id:
                    self._cursor = event.id
                parsed = json_format.Parse(event.data, events_pb2.StreamEvent(), ignore_unknown_fields=True)
                if parsed.sequence or parsed.HasField("events_missed"):
                    self.heard.append(Heard(time.monotonic(), parsed))
                if parsed.state_changed.state in FINAL:
                    self.over = True
                    return
