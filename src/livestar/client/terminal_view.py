"""Narration for people: what was said stays, and below it a few lines move."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from livestar.client.plain_text import clock, counted, printable
from livestar.client.sparkline import Sparkline
from livestar.client.timed_question import Asked
from livestar.client.told import Notice
from livestar.core.decision import Action, Answer, Decision, Ending, Event, FrameDropped, Rule, TextPiece
from livestar.core.ids import NARRATION, ChannelId, QuestionId

MAX_PARTIAL_LINES = 6
"""Lines of an unfinished text that are shown; its beginning gives way."""

MAX_BARS = 40

JUDGEMENT_WIDTH = 26
"""Columns that are kept for `PPL 23.3 of 23.7, silent`, so that the bars keep their place."""

WORDS = {
    Rule.FIRST: "first words",
    Rule.PERPLEXITY: "speaks",
    Rule.MAX_SILENCE: "speaks",
    Rule.NOT_FINITE: "speaks",
    Rule.HOLDS: "silent",
    Rule.MIN_GAP: "too soon",
    Rule.UNCONFIRMED: "unsure",
    Rule.PROBE: "measures",
}
"""A rule of the gate in a word or two."""


class Footage(Protocol):
    """What is watched."""

    @property
    def duration_s(self) -> float | None:
        """Its length in seconds; None where it has none."""

    @property
    def decode_errors(self) -> int | None:
        """Damage found so far; None where somebody else decodes it."""


class TerminalView:
    """Captions with time stamps; below them, on a terminal only, the words under way, and how close the gate is to speaking.

    Into a pipe goes one line a caption, whatever its length. Ends with a summary, also when it is interrupted.

    Args:
        console: where to.
        source: what is watched; its length and its damage are reported.
        title: printed first.
        tenths: whether time stamps tell tenths of a second.
    """

    def __init__(self, console: Console, source: Footage, title: str, *, tenths: bool = False) -> None:
        self._console = console
        self._source = source
        self._title = title
        self._tenths = tenths
        self._sparkline = Sparkline()
        self._under_way: dict[ChannelId | QuestionId, str] = {}
        self._last: Decision | None = None
        self._frames = self._spoken = 0
        self._started_s = time.monotonic()
        self._live = Live(
            console=console, transient=True, refresh_per_second=10, auto_refresh=console.is_terminal
        )

    def __enter__(self) -> Self:
        self._print(Text(printable(self._title), style="bold"))
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, traceback)
        self._print(Text(self._summary(), style="dim"))

    def show(self, event: Event | Asked | Notice) -> None:
        """Takes one event in."""
        match event:
            case TextPiece():
                self._under_way[event.source] = self._under_way.get(event.source, "") + printable(event.text)
            case Decision():
                self._take(event)
            case Asked():
                self._say(event.pts_ns, Text(f"? {printable(event.text)}", style="magenta"))
            case Answer():
                self._under_way.pop(event.question, None)
                self._say(event.pts_ns, _spoken(event.question, event.text, event.ending))
            case FrameDropped():
                self._say(
                    event.pts_ns, Text(f"frame {event.frame} dropped: the stream is behind", style="yellow")
                )
            case Notice():
                style = "yellow" if event.bad else "dim"
                self._say(event.pts_ns, Text(printable(event.text), style=style))
        self._live.update(self._moving())

    def _take(self, decision: Decision) -> None:
        if decision.channel == NARRATION:
            self._last = decision
            self._frames += 1
            self._sparkline.add(decision)
        if decision.action is not Action.SPEAK:
            return
        self._under_way.pop(decision.channel, None)
        self._spoken += decision.ending in (Ending.COMPLETE, Ending.TRUNCATED)
        said = _spoken(decision.channel, decision.text, decision.ending)
        if decision.rule is Rule.NOT_FINITE:
            said.append("  (the likelihood was not finite)", style="red")
        self._say(decision.pts_ns, said)

    def _say(self, pts_ns: int, said: Text) -> None:
        self._print(self._row(self._clock(pts_ns), said))

    def _print(self, lines: RenderableType) -> None:
        """Prints lines that stay; only a terminal wraps them."""
        self._console.print(lines, soft_wrap=not self._console.is_terminal)

    def _row(self, left: str, right: Text) -> RenderableType:
        """A line with a margin for the time; on a terminal long text stays right of it."""
        if not self._console.is_terminal:
            return Text.assemble(left, "  ", right)
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(style="cyan", no_wrap=True)
        row.add_column(overflow="fold")
        row.add_row(left, right)
        return row

    def _moving(self) -> RenderableType:
        room = MAX_PARTIAL_LINES * max(self._console.width - 10, 20)
        margin = " " * len(self._clock(0))
        under_way = []
        for source, text in self._under_way.items():
            shown = text.lstrip() if len(text) <= room else "…" + text[-room:]
            under_way.append(self._row(margin, Text.assemble(_mark(source), (f"{shown}▌", "italic"))))
        return Group(*under_way, *([self._status(self._last)] if self._last else []))

    def _status(self, decision: Decision) -> Text:
        """Where the video is, the gate's recent past, and its latest judgement."""
        duration_s = self._source.duration_s
        place = self._clock(decision.pts_ns) + (f" / {clock(duration_s)}" if duration_s else "")
        judgement = WORDS[decision.rule]
        if math.isfinite(decision.perplexity):
            judgement = f"PPL {decision.perplexity:.3g} of {decision.threshold:.3g}, {judgement}"
        bars = self._sparkline.render(min(MAX_BARS, self._console.width - len(place) - JUDGEMENT_WIDTH - 4))
        status = Text.assemble((place, "dim"), "  ", bars, "  ", (judgement, "dim"))
        status.no_wrap, status.overflow = True, "ellipsis"
        return status

    def _summary(self) -> str:
        elapsed_s = time.monotonic() - self._started_s
        watched = (
            f"{counted(self._frames, 'frame')} watched in {elapsed_s:.1f} s ({self._frames / elapsed_s:.1f} frames/s), "
            f"spoke {counted(self._spoken, 'time')}"
        )
        errors = self._source.decode_errors
        return watched if errors is None else f"{watched}, {counted(errors, 'decode error')}"

    def _clock(self, pts_ns: int) -> str:
        return clock(pts_ns / 1e9, tenths=self._tenths)


def _spoken(source: ChannelId | QuestionId, text: str, ending: Ending) -> Text:
    """What was said, and how it ended where that is not by itself."""
    if ending is Ending.DEGRADED:
        return Text.assemble(_mark(source), ("(nothing could be said)", "yellow"))
    said = Text.assemble(_mark(source), (printable(text), "bold"))
    return said.append(" …", "dim") if ending is Ending.TRUNCATED else said


def _mark(source: ChannelId | QuestionId) -> tuple[str, str]:
    """Who says it: nothing for the narration, an arrow for an answer, its name for a standing question."""
    if source == NARRATION:
        return "", ""
    return f"[{source}] " if isinstance(source, str) else "→ ", "magenta"
