"""Events as JSON, one line each."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

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
    fields = fields_of(event)
    return json_line(fields) if fields else None


def fields_of(event: Event | Asked) -> dict[str, object] | None:
    """What a line tells; None: nothing."""
    match event:
        case Decision():
            return {
                "event": "decision",
                "frame": event.frame,
                "pts_s": event.pts_ns / 1e9,
                "channel": event.channel,
                "action": event.action,
                "rule": event.rule,
                "nll": event.nll,
                "reference_nll": event.reference_nll,
                "perplexity": event.perplexity,
                "threshold": event.threshold,
                "alpha": event.alpha,
                "new_reference_nll": event.new_reference_nll,
                "clip": event.clip,
                "text": event.text,
                "ending": event.ending,
            }
        case Asked():
            return {
                "event": "question",
                "frame": event.frame,
                "pts_s": event.pts_ns / 1e9,
                "question": event.question,
                "text": event.text,
            }
        case Answer():
            return {
                "event": "answer",
                "frame": event.frame,
                "pts_s": event.pts_ns / 1e9,
                "question": event.question,
                "text": event.text,
                "ending": event.ending,
            }
        case FrameDropped():
            return {"event": "frame_dropped", "frame": event.frame, "pts_s": event.pts_ns / 1e9}
        case StreamFailed():
            return {"event": "stream_failed", "reason": str(event.error)}
        case TextPiece():
            return None


def json_line(fields: Mapping[str, object]) -> str:
    """The line."""
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in fields.items()
    }
    return json.dumps(finite, allow_nan=False)
