"""The engine's events as `StreamEvent`, and back: what is shown from the gateway is what would be shown in one process."""

from __future__ import annotations

from livestar.api.v1 import events_pb2
from livestar.core.decision import (
    Action,
    Answer,
    Decision,
    Ending,
    Event,
    FrameDropped,
    Rule,
    StreamFailed,
    TextPiece,
)
from livestar.core.ids import ChannelId, FrameNumber, QuestionId, StreamId
from livestar.wire.errors import error_info, from_error_info


def to_stream_event(event: Event) -> events_pb2.StreamEvent:
    """The event with its stream, frame and body; sequence, epoch and times of the world are the caller's to fill in.

    A `TextPiece` and a `StreamFailed` know no presentation time, a `StreamFailed` no frame: those stay 0.
    """
    wired = events_pb2.StreamEvent(stream_id=event.stream)
    if isinstance(event, StreamFailed):
        wired.failure.CopyFrom(error_info(event.error))
        return wired
    wired.frame_sequence = event.frame
    if not isinstance(event, TextPiece):
        wired.pts_ns = event.pts_ns
    match event:
        case Decision():
            wired.decision.CopyFrom(_decision(event))
        case Answer():
            wired.answer.question_id = event.question
            wired.answer.text = event.text
            wired.answer.token_ids.extend(event.token_ids)
            wired.answer.ending = events_pb2.Ending.Value(f"ENDING_{event.ending.name}")
        case TextPiece(source=str(channel)):
            wired.text_piece.channel = channel
            wired.text_piece.text = event.text
        case TextPiece(source=int(question)):
            wired.text_piece.question_id = question
            wired.text_piece.text = event.text
        case FrameDropped():
            wired.frames_missing.first_sequence = event.frame
            wired.frames_missing.last_sequence = event.frame
            wired.frames_missing.reason = events_pb2.GAP_REASON_DECODER_DROPPED
    return wired


def from_stream_event(wired: events_pb2.StreamEvent) -> Event | None:
    """The engine's event; None for what the engine does not say (state changes, gaps, questions)."""
    stream, frame = StreamId(wired.stream_id), FrameNumber(wired.frame_sequence)
    match wired.WhichOneof("body"):
        case "decision":
            return _from_decision(wired)
        case "answer":
            answer = wired.answer
            return Answer(
                stream,
                QuestionId(answer.question_id),
                frame,
                wired.pts_ns,
                answer.text,
                tuple(answer.token_ids),
                _ending(answer.ending),
            )
        case "text_piece":
            piece = wired.text_piece
            of_a_channel = piece.WhichOneof("source") == "channel"
            source = ChannelId(piece.channel) if of_a_channel else QuestionId(piece.question_id)
            return TextPiece(stream, source, frame, piece.text)
        case "failure":
            return StreamFailed(stream, from_error_info(wired.failure))
    return None


def _decision(decision: Decision) -> events_pb2.Decision:
    return events_pb2.Decision(
        channel=decision.channel,
        action=events_pb2.Action.Value(f"ACTION_{decision.action.name}"),
        rule=events_pb2.Rule.Value(f"RULE_{decision.rule.name}"),
        nll=decision.nll,
        reference_nll=decision.reference_nll,
        alpha=decision.alpha,
        clip=decision.clip,
        text=decision.text,
        token_ids=decision.token_ids,
        ending=events_pb2.Ending.Value(f"ENDING_{decision.ending.name}"),
        new_reference_nll=decision.new_reference_nll,
    )


def _from_decision(wired: events_pb2.StreamEvent) -> Decision:
    decision = wired.decision
    return Decision(
        stream=StreamId(wired.stream_id),
        channel=ChannelId(decision.channel),
        frame=FrameNumber(wired.frame_sequence),
        pts_ns=wired.pts_ns,
        action=Action[events_pb2.Action.Name(decision.action).removeprefix("ACTION_")],
        rule=Rule[events_pb2.Rule.Name(decision.rule).removeprefix("RULE_")],
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
    return Ending[events_pb2.Ending.Name(ending).removeprefix("ENDING_")]
