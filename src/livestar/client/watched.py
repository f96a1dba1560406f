"""Shows what a stream of the running system tells, for people or for programs, and ends in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import typer
from rich.console import Console

from livestar.api.v1 import events_pb2
from livestar.client.aside import Aside
from livestar.client.gateway_client import GatewayClient
from livestar.client.json_lines import json_line
from livestar.client.stream_lines import line_of
from livestar.client.terminal_view import TerminalView
from livestar.client.timed_question import TimedQuestion
from livestar.client.told import told
from livestar.core.errors import DeadlineExceeded, LiveStarError

LAST_QUESTIONS_S = 10.0
"""What a question gets that is still under way when its stream has ended."""


class Shows(Protocol):
    """Something that shows events."""

    def show(self, event: events_pb2.StreamEvent) -> None:
        """Takes one event in."""


class ShownLines:
    """Prints a JSON line as soon as something has happened; a pipe sees it at once."""

    def show(self, event: events_pb2.StreamEvent) -> None:
        """Takes one event in."""
        if line := line_of(event):
            typer.echo(json_line(line))


@dataclass
class ShownToPeople:
    """Puts events into a terminal view."""

    view: TerminalView

    def show(self, event: events_pb2.StreamEvent) -> None:
        """Takes one event in."""
        if (news := told(event)) is not None:
            self.view.show(news)


@dataclass(frozen=True)
class LiveFootage:
    """A stream that somebody else decodes: how much is left and what is damaged is theirs to know."""

    duration_s: float | None = None
    decode_errors: int | None = None


@contextmanager
def shown(title: str, *, as_json: bool, tenths: bool = False) -> Iterator[Shows]:
    """What shows a stream: lines for programs, or a view for people with `title` above and a summary below."""
    if as_json:
        yield ShownLines()
    else:
        with TerminalView(Console(), LiveFootage(), title, tenths=tenths) as view:
            yield ShownToPeople(view)


@dataclass(frozen=True)
class Until:
    """When to stop looking before the stream ends.

    Attributes:
        seconds: once so much of the stream, or so much time since its first frame, has gone by; None: never.
        first_s: what its first event gets.
    """

    seconds: float | None = None
    first_s: float = 60.0

    def is_reached(
        self, event: events_pb2.StreamEvent | None, started_s: float, first_s: float | None, now_s: float
    ) -> bool:
        """Whether it is time to stop.

        Args:
            event: what came just now, if anything.
            started_s: when the showing began, monotonic.
            first_s: when the first event about a frame came.
            now_s: now.

        Raises:
            DeadlineExceeded: no frame was heard of in time.
        """
        if first_s is None:
            if now_s > started_s + self.first_s:
                raise DeadlineExceeded(
                    f"no frame was decided within {self.first_s:g} s: check the source, and the logs of ingest and decoder"
                )
            return False
        reached_s = event.pts_ns / 1e9 if event is not None else 0.0
        return self.seconds is not None and max(reached_s, now_s - first_s) >= self.seconds


def show_stream(
    gateway: GatewayClient,
    stream: str,
    shows: Shows,
    *,
    questions: tuple[TimedQuestion, ...] = (),
    until: Until = Until(),
    after: int | None = 0,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Shows a stream to its end, and asks `questions` at their times.

    Args:
        gateway: where it is.
        stream: its name.
        shows: what shows it.
        questions: asked once the stream has reached their times; those beyond its end are not.
        until: when to stop before the end.
        after: cursor to begin behind; None: what happens from now on.
        check: called several times a second; what it raises ends the showing.

    Raises:
        LiveStarError: the stream or the gateway is gone, or nothing comes.
    """
    asking: list[threading.Thread] = []
    waiting = sorted(questions, key=lambda question: question.at_s)
    started_s, first_s = time.monotonic(), None
    with Aside(lambda: gateway.events(stream, after=after), "events") as events:
        for event in events:
            check()
            now_s = time.monotonic()
            if event is not None:
                shows.show(event)
                first_s = first_s or (now_s if event.frame_sequence else None)
                while waiting and event.frame_sequence and waiting[0].at_s <= event.pts_ns / 1e9:
                    asking.append(_ask(gateway, stream, waiting.pop(0)))
            if until.is_reached(event, started_s, first_s, now_s):
                return
    for thread in asking:
        thread.join(LAST_QUESTIONS_S)
    for question in waiting:
        typer.echo(
            f"livestar: the stream ended before {question.at_s:g} s, so this was not asked: {question.text}",
            err=True,
        )


def _ask(gateway: GatewayClient, stream: str, question: TimedQuestion) -> threading.Thread:
    """Asks beside the showing; question and answer come as events. What goes wrong is one line on stderr."""

    def ask() -> None:
        try:
            gateway.ask(stream, question.text)
        except LiveStarError as error:
            typer.echo(f"livestar: {error}", err=True)

    asking = threading.Thread(target=ask, name="ask", daemon=True)
    asking.start()
    return asking
