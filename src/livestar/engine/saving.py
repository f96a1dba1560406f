"""Between a stream that runs and its snapshot: reading one off, telling what changed, and putting one back."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np

from livestar.core.frame import Moment
from livestar.core.ids import ChannelId, FrameNumber
from livestar.engine.channel import Channel, Held
from livestar.engine.gate import Gate
from livestar.engine.questions import Questions
from livestar.engine.settings import StreamSettings
from livestar.engine.snapshot import (
    SavedCaption,
    SavedChannel,
    SavedSegment,
    StreamChange,
    StreamSnapshot,
    difference,
)
from livestar.engine.state import StreamState
from livestar.kv import Content, Segment, SegmentKind, VisualSpan
from livestar.memory import PlannedElsewhere


class Saving:
    """Saves one stream, and remembers what it told last. Between frames only."""

    def __init__(self, state: StreamState, questions: Questions) -> None:
        self._state = state
        self._questions = questions
        self._settings = _as_value(state.settings)
        self._told = StreamSnapshot(state.id, self._settings)
        # Segments do not change once their frame is decided: each is converted once, for as long as the trunk holds it.
        self._saved: WeakKeyDictionary[Segment, SavedSegment] = WeakKeyDictionary()

    def snapshot(self, answering: Collection[ChannelId]) -> StreamSnapshot:
        """The stream as it is now.

        Args:
            answering: standing questions whose first answer is under way; it will be given again.
        """
        state, questions = self._state, self._questions
        segments, seen = state.trunk.segments, state.seen
        return StreamSnapshot(
            stream=state.id,
            settings=self._settings,
            segments=tuple(self._segment(segment) for segment in segments),
            positions=tuple(int(segment.positions[0]) for segment in segments),
            channels=tuple(_channel(c, asked=c.asked or c.id in answering) for c in state.channels.values()),
            chains=questions.chains,
            clip=state.clip,
            last_frame=seen.number if seen else FrameNumber(0),
            last_pts_ns=seen.pts_ns if seen else 0,
            next_question=questions.next_id,
            unanswered=questions.unanswered,
            visual_tokens={
                FrameNumber(span.frame): span.tokens_VD
                for segment in segments
                for span in segment.content.visuals
            },
        )

    def take_change(self, answering: Collection[ChannelId]) -> StreamChange | None:
        """What changed since the last call, or since the stream was opened or restored; None when nothing did."""
        now = self.snapshot(answering)
        if now == self._told:
            return None
        change = difference(self._told, now)
        self._remember(now)
        return change

    def restore(self, snapshot: StreamSnapshot) -> None:
        """Makes a stream that was just opened the one that was saved; its trunk is staged, to be computed by the next passes."""
        state, trunk = self._state, self._state.trunk
        segments = [self._restored(saved, snapshot) for saved in snapshot.segments]
        trunk.take_back(len(trunk.segments))
        trunk.append_at(segments, snapshot.positions)
        state.channels = {saved.id: _restored_channel(saved) for saved in snapshot.channels}
        state.clip = snapshot.clip
        state.seen = Moment(snapshot.last_frame, snapshot.last_pts_ns) if snapshot.last_frame else None
        self._questions.restore(snapshot.chains, snapshot.next_question)
        self._remember(snapshot)

    def _remember(self, told: StreamSnapshot) -> None:
        # Without its tensors: those of frames that are forgotten meanwhile would be kept alive.
        self._told = replace(told, visual_tokens={})

    def _segment(self, segment: Segment) -> SavedSegment:
        if segment not in self._saved:
            self._saved[segment] = SavedSegment(
                kind=segment.kind,
                ids=tuple(segment.content.ids.tolist()),
                clip=segment.clip,
                frame=FrameNumber(segment.frame),
                pts_ns=segment.pts_ns,
                nll=_none_if_nan(segment.nll),
            )
        return self._saved[segment]

    def _restored(self, saved: SavedSegment, snapshot: StreamSnapshot) -> Segment:
        content = Content.text(saved.ids)
        if saved.kind is SegmentKind.FRAME:
            at = int(np.argmax(content.ids == self._state.tokenizer.img_context_id))
            # A copy, as of every frame that is submitted: what is kept here belongs to this engine.
            tokens = snapshot.visual_tokens[saved.frame].detach().clone()
            content = Content(content.ids, (VisualSpan(at, tokens, saved.frame),))
        return Segment(
            saved.kind,
            content,
            clip=saved.clip,
            frame=saved.frame,
            pts_ns=saved.pts_ns,
            nll=_nan_if_none(saved.nll),
        )


def _channel(channel: Channel, *, asked: bool) -> SavedChannel:
    return SavedChannel(
        id=channel.id,
        kind=channel.kind,
        prompt=channel.prompt,
        gate=channel.gate.settings,
        spoke_pts_ns=channel.gate.spoke_pts_ns,
        exceeded=channel.gate.exceeded,
        held=_caption(channel.held) if channel.held else None,
        asked=asked,
        cancelled=channel.cancelled,
    )


def _restored_channel(saved: SavedChannel) -> Channel:
    gate = Gate(saved.gate)
    gate.spoke_pts_ns, gate.exceeded = saved.spoke_pts_ns, saved.exceeded
    held = _restored_caption(saved.held) if saved.held else None
    return Channel(saved.id, saved.kind, saved.prompt, gate, held, saved.asked, saved.cancelled)


def _caption(held: Held) -> SavedCaption:
    return SavedCaption(held.ids, held.text, _none_if_nan(held.reference_nll), held.ended)


def _restored_caption(saved: SavedCaption) -> Held:
    return Held(saved.ids, saved.text, _nan_if_none(saved.reference_nll), saved.ended)


def _as_value(settings: StreamSettings) -> StreamSettings:
    """Settings without the place where plans are made."""
    memory = settings.memory
    return replace(settings, memory=memory.local) if isinstance(memory, PlannedElsewhere) else settings


def _none_if_nan(nll: float) -> float | None:
    return None if math.isnan(nll) else nll


def _nan_if_none(nll: float | None) -> float:
    return math.nan if nll is None else nll
