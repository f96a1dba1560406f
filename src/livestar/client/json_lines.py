"""Events as JSON, one line each."""

from __future__ import annotations

import json
import math

import typer

from livestar.client.timed_question import Asked
from livestar.core.decision import Answer, Decision, Event, FrameDropped, StreamFailed, TextPiece


class JsonLines:
    """Prints a line as soon as something has happened; a pipe sees it at once."""

    def show(self, event: Event | Asked) -> None:
        """Takes one event in."""
        if line := to_json(event):
            typer.echo(line)


def to_json(event: Event | Asked) -> str | None:
    """One line of ASCII for anything but pieces of text, which are None. Numbers that are not finite are null."""
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
        case Asked():
            return _line(
                event="question",
                frame=event.frame,
                pts_s=event.pts_ns / 1e9,
                question=event.question,
                text=event.text,
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
        case StreamFailed():
            return _line(event="stream_failed", reason=str(event.error))
        case TextPiece():
            return None


def _line(**fields: object) -> str:
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in fields.items()
    }
    return json.dumps(finite, allow_nan=False)
