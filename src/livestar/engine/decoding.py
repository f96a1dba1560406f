"""What the two forms of response-silence decoding have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

from livestar.core.decision import Action, Decision, Ending, Rule, TextPiece
from livestar.core.ids import ChannelId, QuestionId
from livestar.engine.channel import Channel, Held
from livestar.engine.gate import Verdict
from livestar.engine.speech import Speech
from livestar.engine.state import Frame, StreamState
from livestar.engine.steps import Steps
from livestar.kv import Branch, Content
from livestar.model import StreamingDecoder


class Decoding(ABC):
    """How frames, captions and questions are laid out on a trunk and its branches."""

    def __init__(self, state: StreamState) -> None:
        self.state = state

    @abstractmethod
    def watch(self, frame: Frame) -> Steps[None]:
        """Takes in one frame: verifies what is held, decides, and speaks where a gate fires. Emits one decision a channel."""

    @abstractmethod
    def room_for(self, frame: Frame) -> int:
        """Trunk rows that `watch(frame)` may add."""

    @abstractmethod
    def branch_for_question(self) -> tuple[Branch, Content]:
        """A branch on what has been seen so far, and the ids that come before a user's turn on it."""

    def text_sink(self, source: ChannelId | QuestionId, frame: Frame) -> Callable[[int], None]:
        """Takes token ids and emits the text they make, holding back incomplete characters."""
        decoder = StreamingDecoder(self.state.tokenizer)

        def take(token: int) -> None:
            if text := decoder.push(token):
                self.state.emit(TextPiece(self.state.id, source, frame.number, text))

        return take

    def hold(self, channel: Channel, speech: Speech, ids: tuple[int, ...], reference_nll: float) -> Ending:
        """Holds a new caption, or keeps the previous one when nothing could be said. Returns how it ended."""
        if speech.ending in (Ending.CANCELLED, Ending.DEGRADED):
            return speech.ending
        text = self.state.tokenizer.decode(ids).strip()
        if not text:
            return Ending.DEGRADED
        channel.held = Held(ids, text, reference_nll)
        return speech.ending

    def decide(
        self,
        channel: Channel,
        frame: Frame,
        verdict: Verdict,
        *,
        nll: float,
        before: Held | None,
        ending: Ending = Ending.COMPLETE,
    ) -> None:
        """Emits the decision of a channel at a frame."""
        spoke = verdict.action is Action.SPEAK
        held = channel.held
        self.state.emit(
            Decision(
                stream=self.state.id,
                channel=channel.id,
                frame=frame.number,
                pts_ns=frame.pts_ns,
                action=verdict.action,
                rule=verdict.rule,
                nll=nll,
                reference_nll=before.reference_nll if before else math.nan,
                alpha=channel.gate.settings.alpha,
                clip=self.state.clip,
                text=held.text if held else "",
                token_ids=held.ids if held else (),
                ending=ending,
                new_reference_nll=held.reference_nll if spoke and held else math.nan,
            )
        )


FIRST = Verdict(Action.SPEAK, Rule.FIRST)
PROBE = Verdict(Action.SILENT, Rule.PROBE)
