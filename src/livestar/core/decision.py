"""What the engine says: decisions, pieces of text, answers. Values only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from livestar.core.ids import ChannelId, FrameNumber, QuestionId, StreamId


class Action(StrEnum):
    """What a channel did at a frame."""

    SPEAK = "speak"
    SILENT = "silent"


class Rule(StrEnum):
    """Why. The first four speak, the others are silent."""

    FIRST = "first"
    """Nothing is held yet."""
    PERPLEXITY = "perplexity"
    """The held caption has become more perplexing than alpha times its reference."""
    MAX_SILENCE = "max_silence"
    """The channel has been silent for as long as it may."""
    NOT_FINITE = "not_finite"
    """The likelihood was NaN or infinite: speak, and raise an alarm."""
    HOLDS = "holds"
    """The held caption still holds."""
    MIN_GAP = "min_gap"
    """It may have changed, but the channel spoke too recently."""
    UNCONFIRMED = "unconfirmed"
    """It was exceeded once; hysteresis wants the next frame to confirm."""
    PROBE = "probe"
    """The channel only measures."""


class Ending(StrEnum):
    """How a text ended."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"
    """Closed at the token limit."""
    CANCELLED = "cancelled"
    """The caller stopped it; the previous caption stays held."""
    DEGRADED = "degraded"
    """Nothing could be said (empty twice, or not finite); the previous caption stays held."""


@dataclass(frozen=True)
class Decision:
    """What one channel decided at one frame, and why.

    Attributes:
        stream: the stream.
        channel: the narration, a standing question or a probe.
        frame: number of the frame, from 1.
        pts_ns: its presentation time, ns from the start of the stream.
        action: speak or silent.
        rule: the rule that decided.
        nll: mean negative log-likelihood of the held caption at this frame, nats per token; NaN when nothing was held.
        reference_nll: the same when the caption was spoken; the gate compares against it. NaN when nothing was held.
        alpha: sensitivity of the gate; it fires when nll > reference_nll + ln(alpha).
        clip: the clip that the frame belongs to, from 1.
        text: the new caption when it spoke, else the held one.
        token_ids: its ids, as generated.
        ending: how the new caption ended; COMPLETE for silence.
        new_reference_nll: reference of the new caption; NaN for silence.
    """

    stream: StreamId
    channel: ChannelId
    frame: FrameNumber
    pts_ns: int
    action: Action
    rule: Rule
    nll: float
    reference_nll: float
    alpha: float
    clip: int
    text: str
    token_ids: tuple[int, ...] = ()
    ending: Ending = Ending.COMPLETE
    new_reference_nll: float = float("nan")

    @property
    def perplexity(self) -> float:
        """exp(nll); infinite where that overflows."""
        return _exp(self.nll)

    @property
    def threshold(self) -> float:
        """Alpha * exp(reference_nll): the perplexity above which the gate fires."""
        return self.alpha * _exp(self.reference_nll)


@dataclass(frozen=True)
class TextPiece:
    """Text as it is generated: append it to what came before for the same channel and frame, or question."""

    stream: StreamId
    source: ChannelId | QuestionId
    frame: FrameNumber
    text: str


@dataclass(frozen=True)
class Answer:
    """The answer to a question.

    Attributes:
        stream: the stream.
        question: id that `ask` returned.
        frame: the last frame that the answer could see.
        pts_ns: its presentation time.
        text: the answer.
        token_ids: its ids, as generated.
        ending: how it ended.
    """

    stream: StreamId
    question: QuestionId
    frame: FrameNumber
    pts_ns: int
    text: str
    token_ids: tuple[int, ...]
    ending: Ending


@dataclass(frozen=True)
class FrameDropped:
    """A waiting frame was dropped because the inbox was full: the oldest one goes."""

    stream: StreamId
    frame: FrameNumber
    pts_ns: int


@dataclass(frozen=True)
class StreamFailed:
    """A stream was closed because of an error of its own; the others go on.

    Attributes:
        stream: the stream.
        error: what went wrong.
    """

    stream: StreamId
    error: Exception


Event = Decision | TextPiece | Answer | FrameDropped | StreamFailed


def _exp(nll: float) -> float:
    try:
        return math.exp(nll)
    except OverflowError:
        return math.inf
