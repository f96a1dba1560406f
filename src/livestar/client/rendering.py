"""How events look: one JSON line each, or a terminal view."""

from __future__ import annotations

import json
import math
from collections import deque

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from livestar.core.decision import Action, Answer, Decision, Event, FrameDropped, Rule, TextPiece
from livestar.engine.channel import NARRATION

BARS = "▁▂▃▄▅▆▇█"
HISTORY = 32


def to_json(event: Event) -> str | None:
    """One line for a decision, an answer or a drop; None for pieces of text. Numbers that are not finite are null."""
    match event:
        case Decision():
            return _line(
                event="decision",
                frame=event.frame,
                pts_s=event.pts_ns / 1e9,
                channel=event.channel,
                action=event.action,
                rule=event.rule,
                nll=event.nll,
                reference_nll=event.reference_nll,
                perplexity=event.perplexity,
                threshold=event.threshold,
                alpha=event.alpha,
                new_reference_nll=event.new_reference_nll,
                clip=event.clip,
                text=event.text,
                ending=event.ending,
            )
        case Answer():
            return _line(
                event="answer",
                frame=event.frame,
                pts_s=event.pts_ns / 1e9,
                question=event.question,
                text=event.text,
                ending=event.ending,
            )
        case FrameDropped():
            return _line(event="frame_dropped", frame=event.frame, pts_s=event.pts_ns / 1e9)
        case TextPiece():
            return None


class TerminalView:
    """Narration with time stamps, and below it a line that moves: the rise of the held caption's NLL against the gate.

    Text comes from a model that has seen untrusted video: it is printed as plain text, never as markup or control codes.
    """

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._rises: deque[float] = deque(maxlen=HISTORY)
        self._live = Live(console=console, transient=True, refresh_per_second=8, auto_refresh=console.is_terminal)
        self._title = title
        self._spoken = self._frames = 0
        self._partial = ""

    def __enter__(self) -> TerminalView:
        self._console.print(Text(self._title, style="bold"))
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)
        self._console.print(Text(f"{self._frames} frames watched, spoke {self._spoken} times", style="dim"))

    def show(self, event: Event) -> None:
        """Takes one event in."""
        match event:
            case TextPiece():
                self._partial += printable(event.text)
                self._live.update(Text(f"  … {self._partial}", style="italic"))
            case Decision(action=Action.SPEAK):
                self._partial = ""
                self._spoken += 1
                self._say(event.pts_ns, event.channel, event.text, event.rule)
                self._count(event)
            case Decision():
                self._count(event)
                self._live.update(self._status(event))
            case Answer():
                self._partial = ""
                self._say(event.pts_ns, f"answer {event.question}", event.text, None)
            case FrameDropped():
                self._console.print(Text(f"frame {event.frame} dropped: the stream is behind", style="yellow"))

    def _count(self, event: Decision) -> None:
        if event.channel == NARRATION:
            self._frames += 1
            self._rises.append(event.nll - event.reference_nll)

    def _say(self, pts_ns: int, who: str, text: str, rule: Rule | None) -> None:
        line = Text.assemble((clock(pts_ns), "cyan"), "  ", (printable(text), "bold"))
        if who != NARRATION:
            line = Text.assemble((clock(pts_ns), "cyan"), "  ", (f"[{who}] ", "magenta"), printable(text))
        if rule is Rule.NOT_FINITE:
            line.append("  (the likelihood was not finite)", style="red")
        self._console.print(line)

    def _status(self, event: Decision) -> RenderableType:
        margin = math.log(event.alpha) if event.alpha > 1 else 0.03
        bars = "".join(_bar(rise / (2 * margin)) for rise in self._rises if math.isfinite(rise))
        return Text(
            f"{clock(event.pts_ns)}  frame {event.frame}  silent ({event.rule})  "
            f"PPL {event.perplexity:.3g} of {event.threshold:.3g}  {bars}",
            style="dim",
            no_wrap=True,
        )


def printable(text: str) -> str:
    """Text without control characters: a terminal obeys those."""
    return "".join(char if char.isprintable() else " " for char in text)


def clock(pts_ns: int) -> str:
    """Time as M:SS, or H:MM:SS from an hour on."""
    minutes, seconds = divmod(pts_ns // 1_000_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"


def _bar(share: float) -> str:
    return BARS[min(max(int(share * len(BARS)), 0), len(BARS) - 1)]


def _line(**fields: object) -> str:
    clean = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in fields.items()
    }
    return json.dumps(clean, ensure_ascii=False)
