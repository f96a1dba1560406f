"""A channel: one line of speech over a stream's trunk."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from livestar.core.ids import NARRATION as NARRATION
from livestar.core.ids import ChannelId
from livestar.engine.gate import Gate


class ChannelKind(StrEnum):
    """NARRATION and STANDING (a question whose answer changes) hold a caption and speak; a PROBE only measures a text."""

    NARRATION = "narration"
    STANDING = "standing"
    PROBE = "probe"


@dataclass(frozen=True)
class Held:
    """The caption that a channel holds: what it said last, as generated ids that are never re-tokenised.

    Attributes:
        ids: token ids, without the stop token.
        text: for people.
        reference_nll: mean NLL of the ids and the stop token when it was spoken, nats per token.
        ended: its clip is over, but no newer caption could be held.
    """

    ids: tuple[int, ...]
    text: str
    reference_nll: float
    ended: bool = False


@dataclass
class Channel:
    """What a channel is and holds.

    Attributes:
        id: name within the stream.
        kind: what it does.
        prompt: ids between the trunk and the caption: empty for the narration, the question's turn for a standing question.
        gate: when it speaks.
        held: the held caption; None before the first one.
        asked: nothing has been tried to say yet.
        cancelled: stop generating at the next token; forgotten at the next frame.
    """

    id: ChannelId
    kind: ChannelKind
    prompt: tuple[int, ...]
    gate: Gate
    held: Held | None = None
    asked: bool = True
    cancelled: bool = False
