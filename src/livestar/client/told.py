"""Events of a stream in the running system, as the client shows them: the engine's own values where there are some."""

from __future__ import annotations

from dataclasses import dataclass

from livestar.api.v1 import common_pb2, events_pb2
from livestar.client.timed_question import Asked
from livestar.core.decision import Action, Answer, Decision, Ending, Event, Rule, TextPiece
from livestar.core.ids import ChannelId, FrameNumber, QuestionId, StreamId


@dataclass(frozen=True)
class Notice:
    """Something about the stream itself, for people.

    Attributes:
        pts_ns: presentation time of the last frame before it.
        text: one sentence.
        bad: whether it is trouble.
    """

    pts_ns: int
    text: str
    bad: bool = False


GAPS = {
    events_pb2.GAP_REASON_INGEST_DROPPED: "the stream is behind",
    events_pb2.GAP_REASON_LOST: "they were lost on the way",
    events_pb2.GAP_REASON_DECODER_DROPPED: "the decoder is behind",
    events_pb2.GAP_REASON_UNREADABLE: "they could not be read",
}
"""Why frames are missing, in a few words."""


def told(event: events_pb2.StreamEvent) -> Event | Asked | Notice | None:
    """What to show of an event; None: nothing."""
    try:
        return _told(event)
    except ValueError:
        # An enum of a newer version.
        return Notice(event.pts_ns, "an event that this version does not know: update it", bad=True)


def _told(event: events_pb2.StreamEvent) -> Event | Asked | Notice | None:
    stream, frame = StreamId(event.stream_id), FrameNumber(event.frame_sequence)
    match event.WhichOneof("body"):
        case "decision":
            return _decision(event)
        case "text_piece":
            piece = event.text_piece
            return TextPiece(stream, _source(piece), frame, piece.text)
        case "question":
            return Asked(QuestionId(event.question.question_id), frame, event.pts_ns, event.question.text)
        case "answer":
            answer = event.answer
            ending = _ending(answer.ending)
            return Answer(
                stream,
                QuestionId(answer.question_id),
                frame,
                event.pts_ns,
                answer.text,
                tuple(answer.token_ids),
                ending,
            )
        case "frames_missing":
            missing = event.frames_missing
            count = missing.last_sequence - missing.first_sequence + 1
            why = GAPS.get(missing.reason, "for a reason unknown to this client")
            return Notice(event.pts_ns, f"{count} frame{'' if count == 1 else 's'} missing: {why}", bad=True)
        case "state_changed":
            return _state(event)
        case "failure":
            return Notice(event.pts_ns, event.failure.message, bad=True)
        case "events_missed":
            oldest = event.events_missed.oldest_sequence
            return Notice(event.pts_ns, f"events before number {oldest} are no longer kept", bad=True)
    return None


def state_name(state: common_pb2.StreamState.ValueType) -> str:
    """`running` for STREAM_STATE_RUNNING; a state of a newer version is a number."""
    try:
        return common_pb2.StreamState.Name(state).removeprefix("STREAM_STATE_").lower()
    except ValueError:
        return str(int(state))


def _decision(event: events_pb2.StreamEvent) -> Decision:
    decision = event.decision
    return Decision(
        stream=StreamId(event.stream_id),
        channel=ChannelId(decision.channel),
        frame=FrameNumber(event.frame_sequence),
        pts_ns=event.pts_ns,
        action=Action(events_pb2.Action.Name(decision.action).removeprefix("ACTION_").lower()),
        rule=Rule(events_pb2.Rule.Name(decision.rule).removeprefix("RULE_").lower()),
        nll=decision.nll,
        reference_nll=decision.reference_nll,
        alpha=decision.alpha,
        clip=decision.clip,
        text=decision.text,
        token_ids=tuple(decision.token_ids),
        ending=_ending(decision.ending),
        new_reference_nll=decision.new_reference_nll,
    )


def _ending(ending: events_pb2.Ending.ValueType) -> Ending:
    return Ending(events_pb2.Ending.Name(ending).removeprefix("ENDING_").lower())


def _source(piece: events_pb2.TextPiece) -> ChannelId | QuestionId:
    return (
        QuestionId(piece.question_id)
        if piece.WhichOneof("source") == "question_id"
        else ChannelId(piece.channel)
    )


def _state(event: events_pb2.StreamEvent) -> Notice | None:
    """Ends, and what has a reason; that it runs is seen."""
    change = event.state_changed
    if (
        change.state in (common_pb2.STREAM_STATE_STARTING, common_pb2.STREAM_STATE_RUNNING)
        and not change.reason
    ):
        return None
    name = state_name(change.state)
    return Notice(
        event.pts_ns,
        f"{name}: {change.reason}" if change.reason else name,
        bad=change.state == common_pb2.STREAM_STATE_FAILED,
    )
