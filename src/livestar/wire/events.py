"""What the engine says, as bodies of stream events."""

from __future__ import annotations

from livestar.api.v1 import events_pb2
from livestar.core.decision import Answer, Decision, TextPiece


def decision_proto(decision: Decision) -> events_pb2.Decision:
    """A decision for the wire."""
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


def piece_proto(piece: TextPiece) -> events_pb2.TextPiece:
    """A piece of text for the wire."""
    if isinstance(piece.source, str):
        return events_pb2.TextPiece(channel=piece.source, text=piece.text)
    return events_pb2.TextPiece(question_id=piece.source, text=piece.text)


def answer_proto(answer: Answer) -> events_pb2.Answer:
    """An answer for the wire."""
    return events_pb2.Answer(
        question_id=answer.question,
        text=answer.text,
        token_ids=answer.token_ids,
        ending=events_pb2.Ending.Value(f"ENDING_{answer.ending.name}"),
    )
