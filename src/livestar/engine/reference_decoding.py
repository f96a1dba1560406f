"""Response-silence decoding as published, decision for decision, on an append-only cache.

Captions stand in the history; frames without a response join the open user turn. Verification repeats the held caption
behind the new frame in a turn of its own, and after speaking a self-check (the same frame once more, the new caption
repeated) sets the reference. All positions are consecutive; a verification that stays silent is a branch that is dropped.
Source: LiveStar, released online loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from livestar.core.decision import Action, Ending
from livestar.core.frame import Moment
from livestar.engine.channel import Held
from livestar.engine.decoding import FIRST, Decoding
from livestar.engine.gate import Verdict
from livestar.engine.speech import speak
from livestar.engine.state import Frame, StreamState
from livestar.engine.steps import Steps, run
from livestar.engine.text_sink import TextSink
from livestar.kv import Branch, Content, Segment, SegmentKind

Revise = Callable[[tuple[int, ...]], tuple[int, ...]]
"""What becomes of generated ids before they are held."""


class ReferenceDecoding(Decoding):
    """See the module.

    Args:
        state: the stream.
        revise: replaces generated ids before they are held. By default control and image tokens are taken out; parity runs
            reproduce the published text round trip here.
    """

    def __init__(self, state: StreamState, revise: Revise | None = None) -> None:
        super().__init__(state)
        self._revise = revise or self._without_control
        self._speaking = False
        opening = Content.text(state.template.user_open, state.task_prompt())
        state.trunk.append(
            [
                Segment(SegmentKind.PREAMBLE, Content.text(state.template.system)),
                Segment(SegmentKind.PREAMBLE, opening),
            ]
        )

    def watch(self, frame: Frame) -> Steps[None]:
        """Takes in one frame; see `Decoding.watch`."""
        state, channel = self.state, self.state.narration
        line, before = state.line(frame), channel.held
        channel.cancelled = False
        if before is None:
            state.clip = 1
            state.trunk.append([state.frame_segment(frame, line, state.clip)])
            verdict, nll = FIRST, math.nan
        else:
            verdict, nll = yield from self._verify(frame, line, before)
        state.seen = Moment(frame.number, frame.pts_ns)
        segment = state.trunk.segments[-1]
        segment.nll = nll
        if verdict.action is Action.SILENT:
            self.decide(channel, frame, verdict, nll=nll, before=before, clip=state.clip)
            return
        ending = yield from self._say(frame, line)
        if channel.held:
            segment.nll = channel.held.reference_nll
        self.decide(channel, frame, verdict, nll=nll, before=before, clip=state.clip, ending=ending)

    def room_for(self, frame: Frame) -> int:
        """Trunk rows that `watch(frame)` may add: its line, and the held caption with the turn around it."""
        held = self.state.narration.held
        return len(self.state.line(frame)) + (len(self._history(held)) if held else 0)

    def branch_for_question(self) -> tuple[Branch, Content]:
        """A branch on the trunk; the open user turn is closed, and the held caption repeated, before the user's turn."""
        state, channel = self.state, self.state.narration
        prefix = [state.template.turn_close]
        if channel.held and not self._speaking:
            prefix += [state.template.assistant_open, channel.held.ids, state.template.turn_close]
        return state.trunk.branch(), Content.text(*prefix)

    def _verify(self, frame: Frame, line: Content, held: Held) -> Steps[tuple[Verdict, float]]:
        """Scores the held caption behind the new frame, and puts the frame where the verdict wants it."""
        state, template = self.state, self.state.template
        history = self._history(held)
        probe = Content.text(template.turn_close, template.assistant_open, held.ids)
        with state.trunk.branch() as branch:
            chunk = branch.extend(Content.join(history, line, probe), targets=(*held.ids, template.stop_id))
            score = yield from run(chunk)
            nll = float(score.nll.mean())
            damaged = self.worth_rebuilding(nll, own_branches=1)
            if not damaged:
                verdict = state.narration.gate.judge(nll, held.reference_nll, frame.pts_ns)
                if verdict.action is Action.SPEAK:
                    caption = Segment(SegmentKind.CAPTION, history, clip=state.clip)
                    state.clip += 1
                    state.trunk.adopt(branch, [caption, state.frame_segment(frame, line, state.clip)])
        if damaged:
            self.rebuild()
            return (yield from self._verify(frame, line, held))
        if verdict.action is Action.SILENT:
            state.trunk.append([state.frame_segment(frame, line, state.clip)])
        return verdict, nll

    def _say(self, frame: Frame, line: Content) -> Steps[Ending]:
        """Generates from the history, and sets the reference by the self-check, on one branch."""
        state, channel = self.state, self.state.narration
        prompt = Content.text(state.template.turn_close, state.template.assistant_open)
        channel.asked, self._speaking = False, True
        sink = TextSink(state, channel.id, frame)
        with state.trunk.branch() as branch:
            speech = yield from speak(
                branch,
                prompt,
                state.speech_settings(forbid_control=False, score_stop=False),
                on_token=sink.take,
                cancelled=lambda: channel.cancelled,
            )
            sink.finish()
            ids = self._revise(speech.ids)
            said = speech.finished and bool(state.tokenizer.decode(ids).strip())
            # What could not be replaced is repeated: the history then holds it once more, as published.
            checked = ids if said else channel.held.ids if channel.held else ()
            reference = math.nan
            if checked:
                reference = yield from self._self_check(branch, len(prompt), checked, line)
        self._speaking = False
        return self.hold(channel, frame, speech, ids, reference)

    def _self_check(
        self, branch: Branch, prompt_rows: int, ids: tuple[int, ...], line: Content
    ) -> Steps[float]:
        """Mean NLL of repeating the caption if the next frame were this one again."""
        template = self.state.template
        fed = branch.ids[prompt_rows:].tolist()
        same = next(
            (i for i, (a, b) in enumerate(zip(fed, ids, strict=False)) if a != b), min(len(fed), len(ids))
        )
        branch.truncate(prompt_rows + same)
        caption = Content.text(ids[same:], template.turn_close, template.user_open)
        again = Content.text(template.turn_close, template.assistant_open, ids)
        chunk = branch.extend(Content.join(caption, line, again), targets=(*ids, template.stop_id))
        score = yield from run(chunk)
        return float(score.nll.mean())

    def _history(self, held: Held) -> Content:
        """What comes between two user turns: the open turn's end, the caption, and the next turn's beginning."""
        template = self.state.template
        return Content.text(
            template.turn_close, template.assistant_open, held.ids, template.turn_close, template.user_open
        )

    def _without_control(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(token for token in ids if token not in self.state.tokenizer.reserved_ids)
