"""One commit as the script wants it, and whether it makes sense at all."""

from __future__ import annotations

from livestar.api.v1 import memory_pb2
from livestar.bus import FINAL
from livestar.core.errors import InvalidInput


def check(request: memory_pb2.CommitRequest) -> None:
    """Passes when a batch is well formed.

    Raises:
        InvalidInput: it is not, naming the field.
    """
    head = request.head
    if head.epoch < 1 or head.batch < 1:
        raise InvalidInput("head.epoch and head.batch count from 1: set both")
    first = head.event_sequence - len(request.events) + 1
    for sequence, event in enumerate(request.events, start=first):
        if event.sequence != sequence or event.stream_id != request.stream_id:
            raise InvalidInput(
                f"events[{sequence - first}] has sequence {event.sequence} of '{event.stream_id}' where {sequence} of "
                f"'{request.stream_id}' comes next"
            )
    for index, segment in enumerate(request.changed_segments):
        if segment.order < 1 or not segment.token_ids or not segment.kind:
            raise InvalidInput(f"changed_segments[{index}] needs an order from 1, a kind and token ids")
    shown = {segment.frame_sequence for segment in request.changed_segments}
    for frame in request.kept_frames:
        if frame.frame_sequence not in shown:
            raise InvalidInput(
                f"kept_frames holds frame {frame.frame_sequence}, which no changed segment shows"
            )


def arguments(
    request: memory_pb2.CommitRequest,
    *,
    max_events: int,
    max_segments: int,
    max_kept_bytes: int,
    traceparent: str | None,
) -> list[str | bytes | int | float]:
    """The arguments of `scripts.COMMIT`."""
    head = request.head
    order_of = {s.frame_sequence: s.order for s in request.changed_segments if s.frame_sequence}
    segments = [(s.order, s.SerializeToString()) for s in request.changed_segments]
    kept = [(order_of[f.frame_sequence], f.SerializeToString()) for f in request.kept_frames]
    return [
        head.epoch,
        head.batch,
        head.event_sequence - len(request.events) + 1,
        head.event_sequence,
        int(request.replace),
        head.SerializeToString(),
        head.decided_sequence,
        head.decided_pts_ns,
        max_events,
        max_segments,
        max_kept_bytes,
        traceparent or "",
        len(request.removed_orders),
        *request.removed_orders,
        len(segments),
        *(argument for pair in segments for argument in pair),
        len(kept),
        *(argument for pair in kept for argument in pair),
        len(request.events),
        *(event.SerializeToString() for event in request.events),
    ]


def ends(request: memory_pb2.CommitRequest) -> bool:
    """Whether the stream is over after this batch."""
    return any(
        event.HasField("state_changed") and event.state_changed.state in FINAL for event in request.events
    )
