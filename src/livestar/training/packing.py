"""From a watched clip to one training sequence: the tokens, positions and visibility that serving in mode `branch` feeds.

The trunk is the system block, every frame as a user turn of its own (the first one with the task prompt) and, in the
paper's form, the terminal captions of ended events. Captions, standing questions and chains of questions hang off
the frame at which they are due, as leaves. Only captions and answers are scored, each with the token that ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Literal

import torch
from torch import Tensor

from livestar.model import ChatTemplate
from livestar.training.scam import IGNORED, ScamLayout, ScamVariant, Segment, scam_layout

MAX_KNOWN_TEXTS = 20_000
"""Texts whose ids a packer keeps."""


class LeafKind(IntEnum):
    """What a leaf trains; ONSET is the first caption of an event, CAPTION one that still holds.

    DECISION is no leaf of the sequence but a single label: whether to speak, where that is said by a token.
    """

    ONSET = 0
    CAPTION = 1
    STANDING = 2
    CHAIN = 3
    DECISION = 4


@dataclass(frozen=True, slots=True)
class Question:
    """A question at a frame: `turns` of (question, answer), of which the last answer is scored.

    A chain's earlier turns stand in front of the last one. A standing question has one turn.
    """

    kind: Literal[LeafKind.STANDING, LeafKind.CHAIN]
    turns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class WatchedFrame:
    """A frame that the trunk holds.

    `number` counts the stream's frames from 1; `event` the clips of the trunk, and never falls: they are the events, or what
    a stream that speaks late or twice takes for them. `caption` is what is to be said at this frame, None where nothing is
    trained.
    """

    number: int
    event: int
    caption: str | None = None
    is_onset: bool = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """A terminal caption that is not trained, of a clip whose last caption is not its own; stands behind the clip's frames."""

    event: int
    caption: str


@dataclass(frozen=True)
class Watched:
    """A stretch of a stream as the trunk holds it.

    Attributes:
        items: in stream order.
        from_start: the first item is the stream's first frame; otherwise that has been forgotten, and the turn of the
            task prompt stands without it.
        questions: (index of the frame in `items`, question), the ones to keep first where not all fit.
    """

    items: tuple[WatchedFrame | Remembered, ...]
    from_start: bool
    questions: tuple[tuple[int, Question], ...] = ()

    def __post_init__(self) -> None:
        if self.from_start and not (self.items and isinstance(self.items[0], WatchedFrame)):
            raise ValueError("a stretch from the start of a stream begins with a frame")
        if any(not isinstance(self.items[at], WatchedFrame) for at, _ in self.questions):
            raise ValueError("a question is asked at a frame")

    def without_questions(self) -> Watched:
        """The narration alone."""
        return replace(self, questions=())


@dataclass(frozen=True, eq=False)
class Sample:
    """One packed sequence of N tokens.

    Attributes:
        ids: int64[N].
        labels: int64[N], -100 where a token is not scored; the label at t is predicted by row t - 1.
        position_ids: int64[N], rotary positions.
        vis_until: int64[N], see `ScamLayout`.
        leaves: int64[L]: `LeafKind` of every leaf, in the order of their scored tokens.
        leaf_sizes: int64[L]: scored tokens of every leaf.
        shown: numbers of the frames, in the order of their placeholders.
        decisions: int64[D, 2]: rows after which it is decided whether to speak, and 1 where one speaks; only for methods
            whose decision is no token.
    """

    ids: Tensor
    labels: Tensor
    position_ids: Tensor
    vis_until: Tensor
    leaves: Tensor
    leaf_sizes: Tensor
    shown: tuple[int, ...]
    decisions: Tensor = field(default_factory=lambda: torch.empty(0, 2, dtype=torch.int64))


@dataclass
class PackingSequence:
    """A sample in the making.

    Attributes:
        decisions: (row, whether one speaks after it).
        others: see `Sample`; `segments` cover the ids.
    """

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    leaves: list[LeafKind] = field(default_factory=list)
    leaf_sizes: list[int] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    decisions: list[tuple[int, bool]] = field(default_factory=list)

    def trunk(self, ids: Sequence[int], event: int | None = None) -> None:
        """Appends ids that stay and are not scored."""
        self.ids += ids
        self.labels += [IGNORED] * len(ids)
        self.segments.append(Segment("trunk", len(ids), event))

    def leaf(self, leaf: Leaf, event: int | None, *, stays: bool = False) -> None:
        """Appends a leaf; one that stays is trunk for all that follows."""
        self.ids += (*leaf.prompt, *leaf.scored, *leaf.rest)
        self.labels += [IGNORED] * len(leaf.prompt) + [*leaf.scored] + [IGNORED] * len(leaf.rest)
        self.segments.append(Segment("trunk" if stays else "leaf", len(leaf), event))
        self.leaves.append(leaf.kind)
        self.leaf_sizes.append(len(leaf.scored))

    def sample(self, layout: ScamLayout) -> Sample:
        """The finished sample."""
        return Sample(
            ids=torch.tensor(self.ids),
            labels=torch.tensor(self.labels),
            position_ids=layout.position_ids,
            vis_until=layout.vis_until,
            leaves=torch.tensor(self.leaves, dtype=torch.int64),
            leaf_sizes=torch.tensor(self.leaf_sizes, dtype=torch.int64),
            shown=tuple(self.shown),
            decisions=torch.tensor(self.decisions, dtype=torch.int64).view(-1, 2),
        )


@dataclass(frozen=True, slots=True)
class Leaf:
    """A block that ends with scored tokens and the rest of its turn."""

    kind: LeafKind
    prompt: tuple[int, ...]
    scored: tuple[int, ...]
    rest: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.scored) + len(self.rest)


class Packer:
    """Packs watched stretches for one template.

    Args:
        template: of the checkpoint.
        variant: `paper` puts terminal captions on the trunk, `released` hides every caption from all that follows.
        max_tokens: sequences are not longer. Questions that do not fit are left out; then the oldest remembered
            captions go, then frames from the end.
        frame_index_limit: displayed frame indices wrap after this one, as at serving.
    """

    def __init__(
        self,
        template: ChatTemplate,
        *,
        variant: ScamVariant = "paper",
        max_tokens: int = 8192,
        frame_index_limit: int = 999,
    ) -> None:
        self._template = template
        self._variant: ScamVariant = variant
        self._max_tokens = max_tokens
        self._frame_index_limit = frame_index_limit
        self._texts: dict[str, tuple[int, ...]] = {}
        self._lines: dict[int, tuple[int, ...]] = {}

    def pack(self, watched: Watched) -> Sample:
        """Packs one stretch.

        Raises:
            ValueError: not even one frame fits.
        """
        items = list(enumerate(watched.items))
        room = self._max_tokens - len(self._opening(watched.from_start))
        sizes = {at: self._item_tokens(item) for at, item in items}
        excess = sum(sizes.values()) - room
        for at in [*_remembered(items), *_frames_from_end(items)]:
            if excess <= 0:
                break
            excess -= sizes.pop(at)
        items = [(at, item) for at, item in items if at in sizes]
        if not any(isinstance(item, WatchedFrame) for _, item in items):
            raise ValueError(f"not one frame fits into {self._max_tokens} tokens")
        questions = self._fitting(watched.questions, set(sizes), -excess)
        return self._pack(items, questions, from_start=watched.from_start)

    def _fitting(
        self, questions: Sequence[tuple[int, Question]], kept: set[int], room: int
    ) -> dict[int, list[Leaf]]:
        leaves: dict[int, list[Leaf]] = {}
        for at, question in questions:
            leaf = self._question(question)
            if at in kept and len(leaf) <= room:
                leaves.setdefault(at, []).append(leaf)
                room -= len(leaf)
        return leaves

    def _pack(
        self,
        items: Sequence[tuple[int, WatchedFrame | Remembered]],
        questions: dict[int, list[Leaf]],
        *,
        from_start: bool,
    ) -> Sample:
        sequence = self._sequence(items, questions, from_start=from_start)
        return sequence.sample(self._layout(sequence))

    def _sequence(
        self,
        items: Sequence[tuple[int, WatchedFrame | Remembered]],
        questions: dict[int, list[Leaf]],
        *,
        from_start: bool,
    ) -> PackingSequence:
        template, sequence = self._template, PackingSequence()
        sequence.trunk(self._opening(from_start))
        for at, item in items:
            if isinstance(item, Remembered):
                if self._variant == "paper":
                    sequence.trunk(self._turn(item.caption), item.event)
                continue
            opening = () if from_start and not sequence.shown else template.user_open
            sequence.trunk((*opening, *self._line(item), *template.turn_close), item.event)
            sequence.shown.append(item.number)
            self._follow(sequence, item, questions.get(at, ()))
        return sequence

    def _follow(self, sequence: PackingSequence, frame: WatchedFrame, questions: Sequence[Leaf]) -> None:
        """Appends what hangs off a frame."""
        for leaf in questions:
            sequence.leaf(leaf, None)
        # The caption comes last at its frame: where it ends its event it joins the trunk, which questions at
        # the same frame do not see yet.
        if frame.caption is not None:
            sequence.leaf(self._caption(frame), frame.event)

    def _layout(self, sequence: PackingSequence) -> ScamLayout:
        return scam_layout(sequence.segments, self._variant)

    def _opening(self, from_start: bool) -> tuple[int, ...]:  # noqa: FBT001 - private
        template = self._template
        turn = (*template.user_open, *template.task_prompt)
        return (*template.system, *turn, *(() if from_start else template.turn_close))

    def _line(self, frame: WatchedFrame) -> tuple[int, ...]:
        index = (frame.number - 1) % self._frame_index_limit + 1
        if index not in self._lines:
            self._lines[index] = self._template.frame_line(index)
        return self._lines[index]

    def _text(self, words: str) -> tuple[int, ...]:
        """Ids of words from outside; the words of a data set repeat."""
        if words not in self._texts:
            if len(self._texts) == MAX_KNOWN_TEXTS:
                self._texts.clear()
            self._texts[words] = self._template.text(words)
        return self._texts[words]

    def _turn(self, caption: str) -> tuple[int, ...]:
        template = self._template
        return (*template.assistant_open, *self._text(caption), *template.turn_close)

    def _caption(self, frame: WatchedFrame) -> Leaf:
        kind = LeafKind.ONSET if frame.is_onset else LeafKind.CAPTION
        return self._leaf(kind, (), frame.caption or "")

    def _question(self, question: Question) -> Leaf:
        *earlier, (last, answer) = question.turns
        prompt = [*(i for asked, said in earlier for i in (*self._asked(asked), *self._turn(said)))]
        return self._leaf(question.kind, (*prompt, *self._asked(last)), answer)

    def _asked(self, question: str) -> tuple[int, ...]:
        template = self._template
        return (*template.user_open, *self._text(question.strip()), *template.turn_close)

    def _leaf(self, kind: LeafKind, prompt: tuple[int, ...], answer: str) -> Leaf:
        template = self._template
        scored = (*self._text(answer), template.stop_id)
        return Leaf(kind, (*prompt, *template.assistant_open), scored, template.turn_close[1:])

    def _item_tokens(self, item: WatchedFrame | Remembered) -> int:
        if isinstance(item, Remembered):
            return len(self._turn(item.caption)) if self._variant == "paper" else 0
        template = self._template
        turn = len(template.user_open) + len(self._line(item)) + len(template.turn_close)
        return turn + (0 if item.caption is None else len(self._turn(item.caption)))


def _remembered(items: Sequence[tuple[int, WatchedFrame | Remembered]]) -> list[int]:
    return [at for at, item in items if isinstance(item, Remembered)]


def _frames_from_end(items: Sequence[tuple[int, WatchedFrame | Remembered]]) -> list[int]:
    return [at for at, item in reversed(items) if isinstance(item, WatchedFrame)]
