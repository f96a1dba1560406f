"""What the two forms of response-silence decoding have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace

from livestar.core.decision import Action, Decision, Ending, Rule
from livestar.core.frame import Moment
from livestar.engine.channel import Channel, Held
from livestar.engine.gate import Verdict
from livestar.engine.speech import Speech
from livestar.engine.state import Frame, StreamState
from livestar.engine.steps import Steps
from livestar.kv import Branch, Content

FIRST = Verdict(Action.SPEAK, Rule.FIRST)
PROBE = Verdict(Action.SILENT, Rule.PROBE)


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

    def hold(
        self, channel: Channel, frame: Moment, speech: Speech, ids: tuple[int, ...], reference_nll: float
    ) -> Ending:
        """Holds what was said, or keeps the previous caption with a new reference when nothing could be. Returns how it ended.

        The previous caption is measured anew because the trunk may have changed: from here on it is what later frames are
        compared with.
        """
        text = self.state.tokenizer.decode(ids).strip()
        ending = speech.ending if not speech.finished or text else Ending.DEGRADED
        if ending in (Ending.COMPLETE, Ending.TRUNCATED):
            channel.held = Held(ids, text, reference_nll)
        elif channel.held:
            channel.held = replace(channel.held, reference_nll=reference_nll, ended=True)
        if ending is not Ending.DEGRADED:
            channel.gate.spoke(frame.pts_ns)
        return ending

    def worth_rebuilding(self, nll: float, *, own_branches: int = 0) -> bool:
        """Whether a likelihood is not finite because a cached row may be damaged: then `rebuild` and measure again.

        Tried once until a likelihood is finite again, and only while nobody else has a branch open.
        """
        if math.isfinite(nll):
            self.state.rebuilt = False
            return False
        return not self.state.rebuilt and len(self.state.trunk.branches) == own_branches

    def rebuild(self) -> None:
        """Stages the whole trunk again, to be computed from its tokens with the next pass."""
        self.state.rebuilt = True
        self.state.trunk.invalidate()

    def decide(
        self,
        channel: Channel,
        frame: Moment,
        verdict: Verdict,
        *,
        nll: float,
        before: Held | None,
        clip: int,
        ending: Ending = Ending.COMPLETE,
    ) -> None:
        """Emits the decision of a channel at a frame; a channel that was removed meanwhile says nothing."""
        if self.state.channels.get(channel.id) is not channel:
            return
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
                clip=clip,
                text=held.text if held else "",
                token_ids=held.ids if held else (),
                ending=ending,
                new_reference_nll=held.reference_nll if verdict.action is Action.SPEAK and held else math.nan,
            )
        )
