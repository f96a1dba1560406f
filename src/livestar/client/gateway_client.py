"""The gateway, from Python. Never reaches torch.

with GatewayClient("http://127.0.0.1:8080") as gateway:
    stream = gateway.create_stream(StreamRequest("rtsp://camera/1", standing=("Who is at the door?",)))
    for event in gateway.events(stream.id):
        ...  # livestar.v1.StreamEvent; a lost connection is taken up again where it broke
    print(gateway.ask(stream.id, "What happened?").text)
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from google.protobuf import json_format

from livestar.api.v1 import common_pb2, events_pb2
from livestar.client.problem import error_of
from livestar.client.server_events import ServerEvent, server_events
from livestar.client.stream_request import AskReply, StreamRequest, StreamView
from livestar.core.address import without_secrets
from livestar.core.backoff import Backoff
from livestar.core.errors import InvalidInput, LiveStarError, Unavailable

FINAL = frozenset(
    {common_pb2.STREAM_STATE_STOPPED, common_pb2.STREAM_STATE_ENDED, common_pb2.STREAM_STATE_FAILED}
)

ASK_S = 90.0
"""What an answer gets; the gateway gives up before."""

CREATE_S = 30.0
"""What a new stream gets: the gateway looks at its source first."""

SILENT_S = 45.0
"""A subscription that says nothing for so long, not even that it lives, is opened again."""


class GatewayClient:
    """Talks to one gateway over HTTP. Belongs to one thread at a time but for `ask` and `stop_stream`.

    Args:
        url: its address.
        token: what it wants to hear; empty: nothing.
        timeout_s: for one answer.
        give_up_s: how long `events` tries to get a lost connection back.

    Raises:
        InvalidInput: the address is none.
    """

    def __init__(
        self, url: str, token: str = "", *, timeout_s: float = 10.0, give_up_s: float = 30.0
    ) -> None:
        self.url = url.rstrip("/")
        self._give_up_s = give_up_s
        try:
            self._http = httpx.Client(
                base_url=self.url,
                timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 3.0)),
                headers={"Authorization": f"Bearer {token}"} if token else None,
                # A gateway on this machine or in this network: proxies of the environment are for the web.
                trust_env=False,
            )
        except (httpx.InvalidURL, ValueError):
            raise InvalidInput("the gateway's address is not one: use http://host:port") from None
        if self._http.base_url.scheme not in ("http", "https"):
            raise InvalidInput("the gateway's address is not one: use http://host:port")

    def create_stream(self, request: StreamRequest) -> StreamView:
        """Registers a stream and starts it; the same request with the same id again is fine.

        Raises:
            InvalidInput: a value that cannot work.
            AlreadyExists: the id is taken by another request.
            Unavailable: the gateway does not answer.
        """
        return StreamView.of(self._json("POST", "/v1/streams", request.as_json(), read_s=CREATE_S))

    def streams(self) -> list[StreamView]:
        """Every stream, newest first."""
        found: list[StreamView] = []
        token = ""
        while True:
            page = self._json("GET", "/v1/streams", params={"page_token": token} if token else None)
            found += map(StreamView.of, page["streams"])
            if not (token := page.get("next_page_token", "")):
                return found

    def stream(self, stream: str) -> StreamView:
        """One stream.

        Raises:
            NotFound: there is none of this id.
        """
        return StreamView.of(self._json("GET", _path(stream)))

    def stop_stream(self, stream: str) -> None:
        """Stops a stream; frames under way are still decided. Idempotent.

        Raises:
            NotFound: there is none of this id.
        """
        self._json("DELETE", _path(stream))

    def forget_stream(self, stream: str) -> None:
        """Stops a stream and removes everything that is kept of it. Idempotent.

        Raises:
            NotFound: there is none of this id.
        """
        self._json("DELETE", _path(stream), params={"forget": "true"})

    def ask(self, stream: str, text: str, *, chain: str = "") -> AskReply:
        """Asks about what has been seen, and waits for the whole answer.

        Raises:
            NotFound: there is no such stream.
            FailedPrecondition: nobody watches it now.
            DeadlineExceeded: no answer in time.
        """
        reply = self._json("POST", f"{_path(stream)}/questions", _question(text, chain), read_s=ASK_S)
        return AskReply.of(reply)

    def ask_in_pieces(self, stream: str, text: str, *, chain: str = "") -> Iterator[str | AskReply]:
        """Like `ask`: pieces of text as they come, the whole answer last."""
        with self._subscribed(
            "POST", f"{_path(stream)}/questions", json_body=_question(text, chain)
        ) as events:
            for event in events:
                if event.kind == "error":
                    raise error_of(500, event.data)
                told = json.loads(event.data)
                if "answer" in told:
                    yield AskReply.of(told)
                    return
                if piece := told.get("piece"):
                    yield str(piece)
        raise Unavailable("the gateway ended the answer before its end: ask again")

    def events(self, stream: str, *, after: int | None = 0) -> Iterator[events_pb2.StreamEvent]:
        """Events of a stream in order, each once, to its end: the last one brings a final state.

        A lost connection is taken up again behind the last event; older events that are gone by then are an `events_missed`.

        Args:
            stream: the stream.
            after: sequence to begin behind; 0: from the oldest that is kept; None: only what happens from now on.

        Raises:
            NotFound: there is no such stream, or it was deleted.
            Unavailable: the connection cannot be got back within `give_up_s`.
        """
        backoff, last, lost_since_s = Backoff(0.1, 2.0), after, None
        while True:
            try:
                for event in self._subscription(stream, last):
                    lost_since_s = None
                    backoff.reset()
                    if event.sequence and event.sequence <= (last or 0):
                        continue
                    last = event.sequence or last
                    yield event
                    if event.state_changed.state in FINAL:
                        return
                failure: LiveStarError = Unavailable(f"{self._shown} ended the subscription")
            except LiveStarError as error:
                # Too slow for it, or it cannot just now: both resume by the cursor.
                if not error.retryable:
                    raise
                failure = error
            lost_since_s = lost_since_s or time.monotonic()
            pause_s = backoff.pause_s()
            if time.monotonic() + pause_s > lost_since_s + self._give_up_s:
                raise failure
            time.sleep(pause_s)

    def close(self) -> None:
        """Releases connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _shown(self) -> str:
        return f"the gateway at {without_secrets(self.url)}"

    def _subscription(self, stream: str, after: int | None) -> Iterator[events_pb2.StreamEvent]:
        cursor = {} if after is None else {"after": str(after)}
        with self._subscribed("GET", f"{_path(stream)}/events", params=cursor) as events:
            for event in events:
                if event.kind == "error":
                    raise error_of(503, event.data)
                if event.kind == "lagging":
                    # We did not keep up: on with the cursor.
                    return
                yield _parsed(event)

    @contextmanager
    def _subscribed(
        self, method: str, path: str, *, params: dict[str, str] | None = None, json_body: object = None
    ) -> Iterator[Iterator[ServerEvent]]:
        timeout = httpx.Timeout(SILENT_S, connect=3.0)
        headers = {"Accept": "text/event-stream"}
        try:
            with self._http.stream(
                method, path, params=params, json=json_body, headers=headers, timeout=timeout
            ) as response:
                if response.status_code != httpx.codes.OK:
                    response.read()
                    raise error_of(response.status_code, response.text)
                yield server_events(response.iter_bytes())
        except httpx.TransportError as error:
            raise self._away() from error

    def _json(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        params: dict[str, str] | None = None,
        read_s: float | None = None,
    ) -> Any:
        timeout = httpx.USE_CLIENT_DEFAULT if read_s is None else httpx.Timeout(read_s, connect=3.0)
        try:
            response = self._http.request(method, path, json=body, params=params, timeout=timeout)
        except httpx.TransportError as error:
            raise self._away() from error
        if response.is_error:
            raise error_of(response.status_code, response.text)
        if not response.content:
            return {}
        try:
            return response.json()
        except ValueError:
            raise LiveStarError(f"{self._shown} did not answer with JSON: is it a gateway?") from None

    def _away(self) -> Unavailable:
        return Unavailable(f"{self._shown} does not answer: start one with `livestar up`, or check --gateway")


def _parsed(event: ServerEvent) -> events_pb2.StreamEvent:
    try:
        return json_format.Parse(event.data, events_pb2.StreamEvent(), ignore_unknown_fields=True)
    except json_format.ParseError:
        raise LiveStarError(
            "the gateway sent an event that cannot be read: is it of another version?"
        ) from None


def _path(stream: str) -> str:
    return f"/v1/streams/{quote(stream, safe='')}"


def _question(text: str, chain: str) -> dict[str, str]:
    return {"text": text, "chain": chain} if chain else {"text": text}
