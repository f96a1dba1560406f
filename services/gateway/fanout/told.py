"""An event as subscribers get it: encoded once, however many there are."""

from __future__ import annotations

from functools import cached_property
from typing import Self

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from livestar.api.v1 import common_pb2, errors_pb2, events_pb2
from livestar.bus import FINAL, Entry
from livestar.core.errors import LiveStarError
from livestar.core.ids import StreamId
from livestar.wire.errors import error_info

KINDS = {"events_missed": "gap"}
"""Names for people, where they differ from the field's."""


class Told:
    """One event. Immutable.

    Attributes:
        event: the event.
        sequence: its position; 0 for what the gateway itself says.
    """

    def __init__(self, event: events_pb2.StreamEvent) -> None:
        self.event = event
        self.sequence: int = event.sequence

    @classmethod
    def of(cls, entry: Entry) -> Self | None:
        """The event of an entry; None: the entry holds none."""
        try:
            event = events_pb2.StreamEvent.FromString(entry.payload)
        except DecodeError:
            return None
        return cls(event) if event.sequence and event.sequence == sequence_of(entry.id) else None

    @classmethod
    def unreadable(cls, stream: StreamId, sequence: int) -> Self:
        """Stands for an entry that holds no event, so that nothing is left out silently."""
        failure = errors_pb2.ErrorInfo(
            reason="LiveStarError",
            message="this event cannot be read: the services may be of different versions",
        )
        return cls(events_pb2.StreamEvent(stream_id=stream, sequence=sequence, failure=failure))

    @classmethod
    def gap(cls, stream: StreamId, after: int, oldest: int) -> Self:
        """Events between these are gone."""
        missed = events_pb2.EventsMissed(after_sequence=after, oldest_sequence=oldest)
        return cls(events_pb2.StreamEvent(stream_id=stream, events_missed=missed))

    @classmethod
    def failure(cls, stream: StreamId, error: LiveStarError) -> Self:
        """Something is wrong with the subscription."""
        return cls(events_pb2.StreamEvent(stream_id=stream, failure=error_info(error)))

    @classmethod
    def state(cls, info: common_pb2.StreamInfo) -> Self:
        """What the registry says, where no event does."""
        change = events_pb2.StateChanged(state=info.state, reason=info.reason)
        return cls(
            events_pb2.StreamEvent(
                stream_id=info.spec.stream_id,
                frame_sequence=info.decided_sequence,
                pts_ns=info.decided_pts_ns,
                state_changed=change,
            )
        )

    @cached_property
    def kind(self) -> str:
        """Name of what happened: the field of `StreamEvent.body`, or `gap`."""
        body = self.event.WhichOneof("body") or "unknown"
        return KINDS.get(body, body)

    @property
    def is_chatter(self) -> bool:
        """Pieces of text, and decisions to be silent."""
        kind = self.kind
        return kind == "text_piece" or (
            kind == "decision" and self.event.decision.action != events_pb2.ACTION_SPEAK
        )

    @property
    def is_final(self) -> bool:
        """The stream is over."""
        return self.kind == "state_changed" and self.event.state_changed.state in FINAL

    @cached_property
    def json(self) -> str:
        """The proto's JSON form on one line of ASCII, with the fields' own names."""
        return json_format.MessageToJson(
            self.event, preserving_proto_field_name=True, indent=None, ensure_ascii=True
        )

    @cached_property
    def sse(self) -> bytes:
        """As a server-sent event; its id is the sequence, the cursor behind which to resume."""
        cursor = f"id: {self.sequence}\n" if self.sequence else ""
        return f"{cursor}event: {self.kind}\ndata: {self.json}\n\n".encode()

    @cached_property
    def message(self) -> str:
        """As a message of a WebSocket: {"type": kind, "event": …}."""
        return f'{{"type": "{self.kind}", "event": {self.json}}}'


def sequence_of(entry_id: str) -> int:
    """The sequence in the id `<sequence>-0` of an entry."""
    return int(entry_id.partition("-")[0])


def cursor_of(sequence: int) -> str:
    """The id of an entry."""
    return f"{sequence}-0"
