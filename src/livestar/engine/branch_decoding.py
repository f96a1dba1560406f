"""Response-silence decoding with the held caption on a branch: what SCAM trains, one pass a frame.

The trunk holds frames, each as a turn of its own, and the last caption of each finished clip (the paper's mask; the released
code's hides those too). Per frame the held caption is a branch on top of the frame, scored and thrown away; when the gate
fires the new caption is generated from the same trunk, and its reference perplexity comes with the generation.
Source: LiveStar, SVeD and SCAM; the reference NLL is taken before the repetition penalty.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from livestar.core.decision import Action
from livestar.core.frame import Moment
from livestar.core.ids import ChannelId
from livestar.engine.channel import NARRATION, Channel, ChannelKind, Held
from livestar.engine.decoding import FIRST, PROBE, Decoding
from livestar.engine.gate import Verdict
from livestar.engine.speech import speak
from livestar.engine.state import Frame, StreamState
from livestar.engine.steps import Steps, together
from livestar.engine.text_sink import TextSink
from livestar.kv import Branch, Content, Segment, SegmentKind


class BranchDecoding(Decoding):
    """See the module."""

    def __init__(self, state: StreamState) -> None:
        super().__init__(state)
        state.trunk.append([Segment(SegmentKind.PREAMBLE, Content.text(state.template.system))])

    def watch(self, frame: Frame) -> Steps[None]:
        """Takes in one frame; see `Decoding.watch`."""
        state = self.state
        turn = self._turn(frame)
        state.trunk.append(turn)
        state.unsettled = len(turn)
        listening = list(state.channels.values())
        for channel in listening:
            channel.cancelled = False
        nlls = yield from self._verify(listening)
        if state.narration.held and self.worth_rebuilding(nlls[NARRATION]):
            self.rebuild()
            nlls = yield from self._verify(listening)
        verdict = self._judge(state.narration, frame, nlls)
        if verdict.action is Action.SPEAK and self._begin_clip(turn):
            nlls |= yield from self._verify(listening[1:])
        state.unsettled, state.seen = 0, Moment(frame.number, frame.pts_ns)
        speaking = []
        for channel in listening:
            decided = verdict if channel is state.narration else self._judge(channel, frame, nlls)
            nll = nlls.get(channel.id, math.nan)
            if decided.action is Action.SPEAK:
                speaking.append(self.say(channel, frame, decided, nll))
            else:
                self.decide(channel, frame, decided, nll=nll, before=channel.held, clip=state.clip)
        if verdict.action is Action.SILENT:
            self._score(turn, nlls[NARRATION])
        yield from together(speaking)
        if verdict.action is Action.SPEAK and state.narration.held:
            self._score(turn, state.narration.held.reference_nll)

    def say(self, channel: Channel, frame: Moment, verdict: Verdict, nll: float) -> Steps[None]:
        """Generates the channel's new caption from the settled trunk, holds it and emits the decision."""
        state, before, clip = self.state, channel.held, self.state.clip
        channel.asked = False
        sink = TextSink(state, channel.id, frame)
        with state.trunk.branch() as branch:
            speech = yield from speak(
                branch,
                Content.text(channel.prompt, state.template.assistant_open),
                state.speech_settings(forbid_control=True, score_stop=True),
                on_token=sink.take,
                cancelled=lambda: channel.cancelled,
            )
        sink.finish()
        reference, said = speech.mean_nll, bool(state.tokenizer.decode(speech.ids).strip())
        if before and not (speech.finished and said):
            reference = (yield from self._verify([channel]))[channel.id]
        ending = self.hold(channel, frame, speech, speech.ids, reference)
        self.decide(channel, frame, verdict, nll=nll, before=before, clip=clip, ending=ending)

    def room_for(self, frame: Frame) -> int:
        """Trunk rows that `watch(frame)` may add: its turn and the caption of the clip that it may end."""
        turn = sum(len(segment) for segment in self._turn(frame))
        return turn + (len(self._caption(self.state.narration.held)) if self.state.narration.held else 0)

    def branch_for_question(self) -> tuple[Branch, Content]:
        """A branch on the settled trunk; nothing comes before the user's turn."""
        return self.state.trunk.branch(without_last=self.state.unsettled), Content.text(())

    def _verify(self, channels: Sequence[Channel]) -> Steps[dict[ChannelId, float]]:
        """Mean NLL of each held caption and its stop token, each on a branch of its own, in one pass."""
        state = self.state
        with ExitStack() as branches:
            chunks, ids = [], []
            for channel, held in _holding(channels):
                branch = branches.enter_context(state.trunk.branch())
                content = Content.text(channel.prompt, state.template.assistant_open, held.ids)
                chunks.append(branch.extend(content, targets=(*held.ids, state.template.stop_id)))
                ids.append(channel.id)
            if not chunks:
                return {}
            scores = yield chunks
        return {channel: float(score.nll.mean()) for channel, score in zip(ids, scores, strict=True)}

    def _judge(self, channel: Channel, frame: Frame, nlls: dict[ChannelId, float]) -> Verdict:
        if channel.kind is ChannelKind.PROBE:
            return PROBE
        if channel.held is None:
            return FIRST
        return channel.gate.judge(nlls[channel.id], channel.held.reference_nll, frame.pts_ns)

    def _begin_clip(self, turn: list[Segment]) -> bool:
        """Starts a clip at the frame under verification, unless one has begun and nothing could be said in it yet.

        Returns whether the trunk below the frame has changed.
        """
        state, held = self.state, self.state.narration.held
        if held is None:
            state.clip = max(state.clip, 1)
        elif not held.ended:
            state.clip += 1
        for segment in turn:
            segment.clip = state.clip if segment.kind is SegmentKind.FRAME else 0
        if held is None or held.ended or not state.settings.terminal_captions:
            return False
        frame_turn = state.trunk.take_back(state.unsettled)
        caption = Segment(SegmentKind.CAPTION, self._caption(held), clip=state.clip - 1)
        state.trunk.append([caption, *frame_turn])
        return True

    def _turn(self, frame: Frame) -> list[Segment]:
        """The frame as a user turn. The first one also carries the task prompt, which stays when its frame is forgotten."""
        state, template = self.state, self.state.template
        line = state.line(frame)
        opening, closing = Content.text(template.user_open), Content.text(template.turn_close)
        if state.seen is not None:
            return [state.frame_segment(frame, Content.join(opening, line, closing), state.clip)]
        return [
            Segment(SegmentKind.PREAMBLE, Content.join(opening, Content.text(state.task_prompt()))),
            state.frame_segment(frame, line, state.clip),
            Segment(SegmentKind.PREAMBLE, closing),
        ]

    def _caption(self, held: Held) -> Content:
        template = self.state.template
        return Content.text(template.assistant_open, held.ids, template.turn_close)

    def _score(self, turn: Sequence[Segment], nll: float) -> None:
        for segment in turn:
            segment.nll = nll


def _holding(channels: Iterable[Channel]) -> list[tuple[Channel, Held]]:
    return [(channel, channel.held) for channel in channels if channel.held is not None]
