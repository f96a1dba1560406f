"""Sequences of the methods that LiveStar is compared with, from the same windows and in the same words.

VideoLLM-online and MMDuet decide at every frame, by a token or by a head, and say a caption once; plain causal training
repeats it at every frame in plain sight; SimpleStream sees the last frames only. Questions are leaves for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from livestar.model import ChatTemplate
from livestar.training.packing import (
    Leaf,
    LeafKind,
    Packer,
    PackingSequence,
    Remembered,
    Sample,
    WatchedFrame,
)
from livestar.training.scam import ScamLayout, scam_layout

SILENT = ""
"""Caption of a trained frame at which nothing is to be said."""


class CausalPacker(Packer):
    """Every frame followed by its clip's caption, and every caption visible to all that follows: training without SCAM."""

    def _follow(self, sequence: PackingSequence, frame: WatchedFrame, questions: Sequence[Leaf]) -> None:
        for leaf in questions:
            sequence.leaf(leaf, None)
        if frame.caption:
            sequence.leaf(self._caption(frame), frame.event, stays=True)

    def _layout(self, sequence: PackingSequence) -> ScamLayout:
        return scam_layout(sequence.segments, "released")


class OnlinePacker(CausalPacker):
    """A caption once, at the first frame of its event, and a decision at every frame.

    The last row of a frame's turn decides. Where the decision is a token, that row is trained to predict the first id of the
    caption's turn, or `silent_id`, which is a label only and never fed. Otherwise `Sample.decisions` holds it. A window that
    begins within an event of the past tells its caption again, but does not train the decision to.

    Args:
        template: of the checkpoint.
        silent_id: the token that says "silent"; None leaves the decision to a head.
        max_tokens: sequences are not longer. Room is kept for a caption at every frame, so that all methods show the same
            frames.

    Source: VideoLLM-online (arXiv 2406.11816), streaming EOS prediction; MMDuet (arXiv 2411.17991), informative head.
    """

    def __init__(
        self, template: ChatTemplate, *, silent_id: int | None = None, max_tokens: int = 8192
    ) -> None:
        super().__init__(template, max_tokens=max_tokens)
        self._silent_id = silent_id

    def _pack(
        self,
        items: Sequence[tuple[int, WatchedFrame | Remembered]],
        questions: dict[int, list[Leaf]],
        *,
        from_start: bool,
    ) -> Sample:
        return super()._pack(_told_once(items), questions, from_start=from_start)

    def _sequence(
        self,
        items: Sequence[tuple[int, WatchedFrame | Remembered]],
        questions: dict[int, list[Leaf]],
        *,
        from_start: bool,
    ) -> PackingSequence:
        sequence = super()._sequence(items, questions, from_start=from_start)
        if self._silent_id is None:
            return sequence
        if sequence.decisions and sequence.decisions[-1][0] == len(sequence.ids) - 1:
            # A label needs a place: that of the first token of the next frame's turn.
            sequence.trunk(self._template.user_open[:1])
        for row, speaks in sequence.decisions:
            sequence.labels[row + 1] = self._template.assistant_open[0] if speaks else self._silent_id
        sequence.decisions = []
        return sequence

    def _follow(self, sequence: PackingSequence, frame: WatchedFrame, questions: Sequence[Leaf]) -> None:
        if frame.caption == SILENT or frame.is_onset:
            sequence.decisions.append((len(sequence.ids) - 1, bool(frame.caption)))
            if self._silent_id is not None:
                sequence.leaves.append(LeafKind.DECISION)
                sequence.leaf_sizes.append(1)
        super()._follow(sequence, frame, questions)


class RecentPacker(Packer):
    """SCAM with every caption hidden, and a frame is seen by as many frames as the window holds, itself included.

    What a row knows of older frames it knows from the rows between. Positions are those of the whole stream.

    Args:
        template: of the checkpoint.
        num_frames: frames that a caption sees.
        max_tokens: sequences are not longer.

    Source: the baseline of SimpleStream: the last four frames only. Sliding the window in the mask instead of encoding it
        anew is ours.
    """

    def __init__(self, template: ChatTemplate, *, num_frames: int = 4, max_tokens: int = 8192) -> None:
        super().__init__(template, variant="released", max_tokens=max_tokens)
        self._num_frames = num_frames

    def _layout(self, sequence: PackingSequence) -> ScamLayout:
        layout = super()._layout(sequence)
        spans = _frame_spans(sequence)
        for (start, end), (next_start, _) in zip(spans, spans[self._num_frames :], strict=False):
            layout.vis_until[start : end - self._kept_rows(sequence, start)] = next_start - 1
        return layout

    def _kept_rows(self, sequence: PackingSequence, start: int) -> int:
        """The first turn also holds the task prompt: serving forgets its frame line and keeps the turn around it."""
        opening = self._template.user_open
        opens = tuple(sequence.ids[start : start + len(opening)]) == opening
        return 0 if opens else len(self._template.turn_close)


def _told_once(
    items: Sequence[tuple[int, WatchedFrame | Remembered]],
) -> list[tuple[int, WatchedFrame | Remembered]]:
    """Leaves every event its first caption; the other frames with one are silent."""
    told: set[int] = set()
    once: list[tuple[int, WatchedFrame | Remembered]] = []
    for at, item in items:
        is_said = item.caption is not None
        once.append((at, replace(item, caption=SILENT) if is_said and item.event in told else item))
        if is_said:
            told.add(item.event)
    return once


def _frame_spans(sequence: PackingSequence) -> list[tuple[int, int]]:
    """The rows of every frame's turn."""
    spans, end = [], 0
    for segment in sequence.segments:
        start, end = end, end + segment.num_tokens
        if segment.kind == "trunk" and segment.clip is not None:
            spans.append((start, end))
    return spans
