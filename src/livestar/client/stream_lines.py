"""Events of a stream in the running system as JSON, one line each: those of `json_lines`, with the cursor, and a few more."""

from __future__ import annotations

from livestar.api.v1 import events_pb2
from livestar.client.json_lines import fields_of
from livestar.client.told import Notice, state_name, told


def line_of(event: events_pb2.StreamEvent) -> dict[str, object] | None:
    """What a line tells; None for pieces of text. `sequence` is the cursor behind which to resume."""
    fields = _fields(event)
    if fields is None:
        return None
    where = {"stream": event.stream_id, "sequence": event.sequence}
    if event.captured_at_ns and event.decided_at_ns and fields["event"] == "decision":
        where["behind_s"] = round((event.decided_at_ns - event.captured_at_ns) / 1e9, 6)
    return fields | where


def _fields(event: events_pb2.StreamEvent) -> dict[str, object] | None:
    place = {"frame": event.frame_sequence, "pts_s": event.pts_ns / 1e9}
    match event.WhichOneof("body"):
        case "state_changed":
            change = event.state_changed
            return {"event": "state", **place, "state": state_name(change.state), "reason": change.reason}
        case "frames_missing":
            missing = event.frames_missing
            reason = events_pb2.GapReason.Name(missing.reason).removeprefix("GAP_REASON_").lower()
            span = {"first": missing.first_sequence, "last": missing.last_sequence}
            return {"event": "frames_missing", **place, **span, "reason": reason}
        case "failure":
            return {
                "event": "failure",
                **place,
                "kind": event.failure.reason,
                "reason": event.failure.message,
            }
        case "channel_changed":
            channel = event.channel_changed
            return {
                "event": "channel",
                **place,
                "channel": channel.channel,
                "open": channel.open,
                "text": channel.text,
            }
        case "events_missed":
            missed = event.events_missed
            return {
                "event": "events_missed",
                "after": missed.after_sequence,
                "oldest": missed.oldest_sequence,
            }
    shown = told(event)
    return None if shown is None or isinstance(shown, Notice) else fields_of(shown)
