"""What one stream's engine did, on its way to the memory: numbered events, and the segments that changed.

Everything is told in the order of frames. Pieces of text and answers go at once. Decisions and changes of channels wait for the
change that makes them durable, so that they are written together with it. Frames that are missing are told when every frame
before them is settled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from livestar.api.v1 import common_pb2, errors_pb2, events_pb2, memory_pb2
from livestar.api.v1.events_pb2 import GapReason, StreamEvent
from livestar.core.decision import Answer, Decision, Event, FrameDropped, TextPiece
from livestar.core.ids import ChannelId, QuestionId, StreamId
from livestar.engine import StreamChange, StreamSnapshot
from livestar.kv import SegmentKind
from livestar.wire.events import answer_proto, decision_proto, piece_proto
from livestar.wire.snapshot import fill_head, segment_proto
from services.decoder.engine_thread import Outcome


@dataclass(frozen=True)
class FrameNote:
    """What is known of a frame that the engine has and has not decided.

    Attributes:
        sequence: its number.
        pts_ns: presentation time.
        captured_at_ns: Unix time; 0 = unknown.
        ingest_epoch: under which it was captured.
        tokens: its visual tokens, as they came.
        traceparent: trace that it belongs to.
    """

    sequence: int
    pts_ns: int
    captured_at_ns: int
    ingest_epoch: int
    tokens: common_pb2.Tensor
    traceparent: str | None = None


class Journal:
    """Belongs to one event loop. One batch is under way at a time: `next_batch`, send it until it is written, `written`.

    Args:
        head: the stream as it is kept; its epoch, settings and model are already this owner's, and its batch is 0.
        snapshot: the same as the engine's memory; without visual tokens.
        orders: places of the snapshot's segments.
        texts: question or text of each channel but the narration.
        image_token_id: stands where visual tokens stand.
        replace: whatever is kept is to be dropped with the first batch.
    """

    def __init__(
        self,
        head: memory_pb2.StreamHead,
        snapshot: StreamSnapshot,
        *,
        orders: Iterable[int] = (),
        texts: Mapping[ChannelId, str],
        image_token_id: int,
        replace: bool = False,
    ) -> None:
        self.head = head
        self.stream: StreamId = snapshot.stream
        self.texts = dict(texts)
        self.traceparent: str | None = None
        self.decided_after_s = 0.0
        self._copy = snapshot
        self._orders = list(orders)
        self._image_token_id = image_token_id
        self._in_flight: dict[int, FrameNote] = {}
        self._gaps: list[events_pb2.FramesMissing] = []
        self._held: list[StreamEvent] = []
        self._waiters: list[tuple[StreamEvent, asyncio.Future[None]]] = []
        self._batch = _Pending(replace=replace)
        self._changed = False

    @property
    def num_in_flight(self) -> int:
        """Frames that the engine has and has not decided."""
        return len(self._in_flight)

    @property
    def num_uncommitted(self) -> int:
        """Events that are not in a batch yet."""
        return len(self._batch.events)

    @property
    def oldest_captured_at_ns(self) -> int | None:
        """When the oldest undecided frame was captured."""
        note = next(iter(self._in_flight.values()), None)
        return note.captured_at_ns if note else None

    @property
    def has_gaps(self) -> bool:
        """Whether missing frames wait to be told."""
        return bool(self._gaps)

    def frame_given(self, note: FrameNote) -> None:
        """The engine gets this frame."""
        self._in_flight[note.sequence] = note

    def frame_refused(self, sequence: int) -> None:
        """The engine would not have this frame."""
        self._in_flight.pop(sequence, None)

    def frames_withdrawn(self, sequences: Sequence[int]) -> None:
        """The engine gave these frames back; the next owner gets them, and tells what is missing behind them."""
        for sequence in sequences:
            self._in_flight.pop(sequence, None)
        first = min(sequences, default=0)
        self._gaps = [gap for gap in self._gaps if not first or gap.first_sequence < first]

    def missing(self, first: int, last: int, reason: GapReason.ValueType) -> None:
        """These frames are never decided."""
        self._gaps.append(events_pb2.FramesMissing(first_sequence=first, last_sequence=last, reason=reason))
        self._gaps.sort(key=lambda gap: gap.first_sequence)
        self._tell_gaps()

    def take(self, outcome: Outcome) -> list[StreamEvent]:
        """Takes over what the engine did in one step; returns the events that were told with it."""
        num_told = len(self._batch.events)
        for event in outcome.events:
            self._take_event(event, outcome.at_ns)
        if outcome.change:
            self._take_change(outcome.change)
            if outcome.coming:
                fixed = sum(len(s.ids) for s in self._copy.segments if s.kind is SegmentKind.PREAMBLE)
                self._batch.coming_tokens = outcome.coming.fixed_tokens - fixed
        return self._batch.events[num_told:]

    def asked(self, question: QuestionId, text: str, chain: str) -> StreamEvent:
        """A question was taken; returns the event that says so."""
        self.head.open_question_ids.append(question)
        self.head.last_question_id = max(self.head.last_question_id, question)
        asked = events_pb2.QuestionAsked(question_id=question, text=text, chain=chain)
        return self._tell(self._event(question=asked))

    def abandon_questions(self) -> None:
        """Questions that an earlier owner took, and whose callers are gone, get a last word."""
        for question in list(self.head.open_question_ids):
            answer = events_pb2.Answer(question_id=question, ending=events_pb2.ENDING_CANCELLED)
            self._tell(self._event(answer=answer))
        del self.head.open_question_ids[:]

    def note_channel(self, channel: common_pb2.ChannelSpec, *, is_open: bool) -> StreamEvent:
        """A channel was opened or closed; the event is told with the change that makes it durable."""
        if is_open:
            self.texts[ChannelId(channel.channel)] = channel.text
        changed = events_pb2.ChannelChanged(
            channel=channel.channel, kind=channel.kind, text=channel.text, open=is_open
        )
        event = self._event(channel_changed=changed)
        self._held.append(event)
        return event

    def until_written(self, event: StreamEvent) -> asyncio.Future[None]:
        """Done when an event is written."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((event, written))
        return written

    def state_changed(self, state: common_pb2.StreamState.ValueType, reason: str) -> None:
        """The stream changed its state."""
        self._tell(self._event(state_changed=events_pb2.StateChanged(state=state, reason=reason)))

    def failed(self, error: errors_pb2.ErrorInfo) -> None:
        """Something failed."""
        self._tell(self._event(failure=error))

    def settle(self, sequence: int) -> None:
        """Everything up to here is settled: the end of the stream has a sequence, too."""
        self.head.decided_sequence = max(self.head.decided_sequence, sequence)
        self._changed = True

    def close(self) -> None:
        """Nothing more will come: what waited for a change is told as it is."""
        for event in self._held:
            self._tell(event)
        self._held.clear()

    def next_batch(self) -> memory_pb2.CommitRequest | None:
        """Everything that is new; None when nothing is. Send it again and again until it is written."""
        batch = self._batch
        if not (batch.events or self._changed):
            return None
        self.head.batch += 1
        request = memory_pb2.CommitRequest(
            stream_id=self.stream,
            head=self.head,
            changed_segments=batch.segments.values(),
            removed_orders=batch.removed,
            kept_frames=batch.kept.values(),
            replace=batch.replace,
            events=batch.events,
            coming_tokens=batch.coming_tokens,
        )
        self._batch, self._changed = _Pending(), False
        return request

    def written(self, request: memory_pb2.CommitRequest) -> None:
        """The batch is durable."""
        waiting = []
        for event, future in self._waiters:
            if not 1 <= event.sequence <= request.head.event_sequence:
                waiting.append((event, future))
            elif not future.done():
                future.set_result(None)
        self._waiters = waiting

    def abandon(self, error: Exception) -> None:
        """Nothing will be written any more."""
        for _, future in self._waiters:
            if not future.done():
                future.set_exception(error)
        self._waiters.clear()

    def _take_event(self, event: Event, at_ns: int) -> None:
        if isinstance(event, Decision):
            self._held.append(self._event(event.frame, at_ns, decision=decision_proto(event)))
        elif isinstance(event, TextPiece):
            self._tell(self._event(event.frame, at_ns, text_piece=piece_proto(event)))
        elif isinstance(event, Answer):
            if event.question in self.head.open_question_ids:
                self.head.open_question_ids.remove(event.question)
            self._tell(self._event(event.frame, at_ns, answer=answer_proto(event)))
        elif isinstance(event, FrameDropped):
            self._in_flight.pop(event.frame, None)
            self.missing(event.frame, event.frame, events_pb2.GAP_REASON_DECODER_DROPPED)

    def _take_change(self, change: StreamChange) -> None:
        after = self._copy.after(change)
        stay = after.segments[: len(after.segments) - len(change.appended)]
        orders: list[int] = []
        for segment, order in zip(self._copy.segments, self._orders, strict=True):
            if len(orders) < len(stay) and stay[len(orders)] is segment:
                orders.append(order)
            else:
                self._batch.remove(order)
        for segment in change.appended:
            self.head.last_order += 1
            orders.append(self.head.last_order)
            note = self._in_flight.get(segment.frame)
            self._batch.add(
                segment_proto(segment, self.head.last_order, self._image_token_id),
                note.tokens if note else None,
            )
        self._copy, self._orders, self._changed = after, orders, True
        self.texts = {name: text for name, text in self.texts.items() if name in change.open_channels}
        fill_head(self.head, after, self.texts)
        self.head.last_question_id = max(self.head.last_question_id, after.next_question - 1)
        if after.last_frame > self.head.last_frame_sequence:
            self._settle_frame(after)
        for event in self._held:
            self._tell(event)
        self._held.clear()
        self._tell_gaps()

    def _settle_frame(self, after: StreamSnapshot) -> None:
        head = self.head
        head.last_frame_sequence, head.decided_pts_ns = after.last_frame, after.last_pts_ns
        head.decided_sequence = max(head.decided_sequence, after.last_frame)
        if note := self._in_flight.get(after.last_frame):
            head.captured_at_ns = note.captured_at_ns
            head.ingest_epoch = max(head.ingest_epoch, note.ingest_epoch)
            self.traceparent = note.traceparent
            self.decided_after_s = max(0.0, (time.time_ns() - note.captured_at_ns) / 1e9)
        self._in_flight = {n: note for n, note in self._in_flight.items() if n > after.last_frame}

    def _tell_gaps(self) -> None:
        """Tells of missing frames as far as no undecided frame lies before them."""
        oldest = next(iter(self._in_flight), None)
        while self._gaps and (oldest is None or self._gaps[0].first_sequence < oldest):
            gap = self._gaps.pop(0)
            self.head.decided_sequence = max(self.head.decided_sequence, gap.last_sequence)
            self._tell(self._event(frames_missing=gap))

    def _event(
        self,
        frame: int | None = None,
        at_ns: int = 0,
        *,
        decision: events_pb2.Decision | None = None,
        text_piece: events_pb2.TextPiece | None = None,
        question: events_pb2.QuestionAsked | None = None,
        answer: events_pb2.Answer | None = None,
        frames_missing: events_pb2.FramesMissing | None = None,
        state_changed: events_pb2.StateChanged | None = None,
        failure: errors_pb2.ErrorInfo | None = None,
        channel_changed: events_pb2.ChannelChanged | None = None,
    ) -> StreamEvent:
        """An event without a number, about a frame or the last one that was decided."""
        head = self.head
        event = StreamEvent(
            stream_id=self.stream,
            frame_sequence=head.last_frame_sequence if frame is None else frame,
            pts_ns=head.decided_pts_ns,
            captured_at_ns=head.captured_at_ns,
            decided_at_ns=at_ns or time.time_ns(),
            epoch=head.epoch,
            decision=decision,
            text_piece=text_piece,
            question=question,
            answer=answer,
            frames_missing=frames_missing,
            state_changed=state_changed,
            failure=failure,
            channel_changed=channel_changed,
        )
        if note := self._in_flight.get(event.frame_sequence):
            event.pts_ns, event.captured_at_ns = note.pts_ns, note.captured_at_ns
        return event

    def _tell(self, event: StreamEvent) -> StreamEvent:
        self.head.event_sequence += 1
        event.sequence = self.head.event_sequence
        self._batch.events.append(event)
        return event


class _Pending:
    """What the next batch will hold."""

    def __init__(self, *, replace: bool = False) -> None:
        self.replace = replace
        self.events: list[StreamEvent] = []
        self.segments: dict[int, memory_pb2.Segment] = {}
        self.removed: list[int] = []
        self.kept: dict[int, memory_pb2.KeptFrame] = {}
        self.coming_tokens = 0

    def add(self, segment: memory_pb2.Segment, tokens: common_pb2.Tensor | None) -> None:
        self.segments[segment.order] = segment
        if tokens is not None:
            frame = memory_pb2.KeptFrame(frame_sequence=segment.frame_sequence, tokens=tokens)
            self.kept[segment.order] = frame

    def remove(self, order: int) -> None:
        # What comes and goes within one batch is never written.
        if self.segments.pop(order, None) is None:
            self.removed.append(order)
        self.kept.pop(order, None)
