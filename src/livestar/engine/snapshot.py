"""A stream's memory as a value, and what changes it from frame to frame.

Everything here is plain: numbers, strings, tuples, and the visual tokens as tensors. A likelihood that nobody measured, or that
was not a number, is None, so that equal snapshots are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self

import torch

from livestar.core.ids import ChannelId, FrameNumber, QuestionId, StreamId
from livestar.engine.channel import ChannelKind
from livestar.engine.dialogue import Chain
from livestar.engine.gate import GateSettings
from livestar.engine.settings import StreamSettings
from livestar.kv import SegmentKind
from livestar.memory import Forget

VisualTokens = Mapping[FrameNumber, torch.Tensor]
_NONE: VisualTokens = MappingProxyType({})
_NO_FRAME = FrameNumber(0)
_FIRST_QUESTION = QuestionId(1)


@dataclass(frozen=True)
class SavedSegment:
    """A segment of the trunk. It never changes; where it stands may.

    Attributes:
        kind: preamble, frame or caption.
        ids: token ids; a frame's hold the placeholders of its visual tokens.
        clip: the clip that it belongs to; 0 for the preamble.
        frame: frame number, 0 when it is no frame.
        pts_ns: presentation time of the frame, ns.
        nll: the memory's score, nats per token.
    """

    kind: SegmentKind
    ids: tuple[int, ...]
    clip: int = 0
    frame: FrameNumber = _NO_FRAME
    pts_ns: int = 0
    nll: float | None = None


@dataclass(frozen=True)
class SavedCaption:
    """What a channel holds; see `Held`."""

    ids: tuple[int, ...]
    text: str
    reference_nll: float | None
    ended: bool


@dataclass(frozen=True)
class SavedChannel:
    """A channel and the state of its gate; see `Channel` and `Gate`.

    Attributes:
        asked: nothing has been tried to say yet. Also true for a standing question whose first answer is under way: it is
            given again from its beginning.
    """

    id: ChannelId
    kind: ChannelKind
    prompt: tuple[int, ...]
    gate: GateSettings
    spoke_pts_ns: int | None
    exceeded: bool
    held: SavedCaption | None
    asked: bool
    cancelled: bool


@dataclass(frozen=True)
class StreamChange:
    """What happened to a stream between two points between frames. Visual tokens are named by frame, never carried.

    Attributes:
        stream: the stream.
        forgotten: segments that are gone: frames by number, captions by clip.
        appended: new segments, in order, behind those that stay.
        positions: first positions of the last `len(positions)` segments: of those appended, and of those before them that moved.
        channels: those that are new or have changed.
        open_channels: all that there are now, in order.
        chains: those that are new or have grown.
        open_chains: all that there are now, the longest unused one first.
        clip, last_frame, last_pts_ns, next_question, unanswered: as in `StreamSnapshot`.
    """

    stream: StreamId
    forgotten: Forget
    appended: tuple[SavedSegment, ...]
    positions: tuple[int, ...]
    channels: tuple[SavedChannel, ...]
    open_channels: tuple[ChannelId, ...]
    chains: tuple[Chain, ...]
    open_chains: tuple[str, ...]
    clip: int
    last_frame: FrameNumber
    last_pts_ns: int
    next_question: QuestionId
    unanswered: tuple[QuestionId, ...]


@dataclass(frozen=True)
class StreamSnapshot:
    """A stream at a point between frames: everything that it needs to go on elsewhere, given the same checkpoint.

    What was under way is not in it. Give it again: every frame after `last_frame`, and the questions in `unanswered` (they get
    new ids). A caption in the middle of its words, and a standing question's first answer, begin anew.

    Attributes:
        stream: the stream.
        settings: how it is watched; a memory that was planned elsewhere is the policy behind it.
        segments: the trunk.
        positions: the position of each segment's first row.
        channels: the narration, standing questions and probes, in the order in which they are heard.
        chains: earlier questions and answers, the longest unused chain first.
        clip: the current clip, from 1; 0 before the first caption.
        last_frame: the last frame that was decided; 0 before the first.
        last_pts_ns: its presentation time.
        next_question: id of the next question.
        unanswered: questions that were asked and have no answer yet.
        visual_tokens: those of the frames in `segments`, [16, D] each; shared with the engine, so not to be written to. They
            belong to their frames for ever, and are left out of comparisons.
    """

    stream: StreamId
    settings: StreamSettings
    segments: tuple[SavedSegment, ...] = ()
    positions: tuple[int, ...] = ()
    channels: tuple[SavedChannel, ...] = ()
    chains: tuple[Chain, ...] = ()
    clip: int = 0
    last_frame: FrameNumber = _NO_FRAME
    last_pts_ns: int = 0
    next_question: QuestionId = _FIRST_QUESTION
    unanswered: tuple[QuestionId, ...] = ()
    visual_tokens: VisualTokens = field(default_factory=dict, compare=False, repr=False)

    @property
    def frames(self) -> tuple[FrameNumber, ...]:
        """Numbers of the frames in the trunk."""
        return tuple(segment.frame for segment in self.segments if segment.kind is SegmentKind.FRAME)

    def after(self, change: StreamChange, visual_tokens: VisualTokens = _NONE) -> Self:
        """The snapshot after a change that follows it; `StreamSnapshot(stream, settings)` is where a stream begins.

        Args:
            change: what `Engine.take_change` gave next.
            visual_tokens: of the frames that it appends, where they are wanted; those of other frames are ignored.
        """
        kept = [
            (segment, position)
            for segment, position in zip(self.segments, self.positions, strict=True)
            if not _names(change.forgotten, segment)
        ]
        segments = (*(segment for segment, _ in kept), *change.appended)
        num_unmoved = len(segments) - len(change.positions)
        channels = {channel.id: channel for channel in (*self.channels, *change.channels)}
        chains = {chain.name: chain for chain in (*self.chains, *change.chains)}
        tokens = {**self.visual_tokens, **visual_tokens}
        shown = {segment.frame for segment in segments if segment.kind is SegmentKind.FRAME}
        return type(self)(
            stream=self.stream,
            settings=self.settings,
            segments=segments,
            positions=(*(position for _, position in kept[:num_unmoved]), *change.positions),
            channels=tuple(channels[name] for name in change.open_channels),
            chains=tuple(chains[name] for name in change.open_chains),
            clip=change.clip,
            last_frame=change.last_frame,
            last_pts_ns=change.last_pts_ns,
            next_question=change.next_question,
            unanswered=change.unanswered,
            visual_tokens={number: tokens[number] for number in shown & tokens.keys()},
        )


def difference(before: StreamSnapshot, after: StreamSnapshot) -> StreamChange:
    """What leads from one snapshot of a stream to a later one: `before.after(difference(before, after)) == after`."""
    forgotten = Forget(
        frames=frozenset(before.frames) - frozenset(after.frames),
        captions=_captions(before) - _captions(after),
    )
    stay = [
        position
        for segment, position in zip(before.segments, before.positions, strict=True)
        if not _names(forgotten, segment)
    ]
    num_unmoved = next(
        (i for i, (old, new) in enumerate(zip(stay, after.positions, strict=False)) if old != new), len(stay)
    )
    return StreamChange(
        stream=after.stream,
        forgotten=forgotten,
        appended=after.segments[len(stay) :],
        positions=after.positions[num_unmoved:],
        channels=tuple(channel for channel in after.channels if channel not in before.channels),
        open_channels=tuple(channel.id for channel in after.channels),
        chains=tuple(chain for chain in after.chains if chain not in before.chains),
        open_chains=tuple(chain.name for chain in after.chains),
        clip=after.clip,
        last_frame=after.last_frame,
        last_pts_ns=after.last_pts_ns,
        next_question=after.next_question,
        unanswered=after.unanswered,
    )


def _captions(snapshot: StreamSnapshot) -> frozenset[int]:
    return frozenset(s.clip for s in snapshot.segments if s.kind is SegmentKind.CAPTION)


def _names(forget: Forget, segment: SavedSegment) -> bool:
    if segment.kind is SegmentKind.FRAME:
        return segment.frame in forget.frames
    return segment.kind is SegmentKind.CAPTION and segment.clip in forget.captions
