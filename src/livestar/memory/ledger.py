"""What the trunk holds, as values: a policy reads a `Ledger` and answers with a `Forget`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby, pairwise
from operator import attrgetter

from livestar.core.ids import FrameNumber


@dataclass(frozen=True, slots=True)
class FrameEntry:
    """One frame in the trunk.

    `nll` is the mean negative log-likelihood, in nats per scored token, of the caption that was held at
    this frame. For the first frame of a clip it is the clip's own reference, not the value that fired the
    gate: that one measures the previous caption and would make the scene change the first thing to be
    forgotten. `num_tokens` counts trunk tokens; `pts_ns` is the presentation time in nanoseconds.
    """

    number: FrameNumber
    clip: int
    nll: float
    num_tokens: int
    pts_ns: int

    @property
    def surprise(self) -> float:
        """`nll`, or infinity where it is not finite: a frame without a usable score is worth least."""
        return self.nll if math.isfinite(self.nll) else math.inf


@dataclass(frozen=True, slots=True)
class CaptionEntry:
    """The terminal caption of clip `clip`, where it is part of the trunk; `num_tokens` trunk tokens."""

    clip: int
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything in one stream's trunk, oldest first.

    `fixed_tokens` counts what is never forgotten (system block, task prompt).

    Raises:
        ValueError: frame numbers do not rise, clips fall, a clip has two captions, or a token count is
            negative.
    """

    frames: tuple[FrameEntry, ...]
    captions: tuple[CaptionEntry, ...]
    fixed_tokens: int

    def __post_init__(self) -> None:
        if any(a.number >= b.number or a.clip > b.clip for a, b in pairwise(self.frames)):
            raise ValueError("a ledger lists frames in stream order: numbers rise and clips never fall")
        if any(a.clip >= b.clip for a, b in pairwise(self.captions)):
            raise ValueError("a ledger lists at most one caption per clip, in clip order")
        if self.fixed_tokens < 0 or any(entry.num_tokens < 0 for entry in self.entries):
            raise ValueError("a ledger counts tokens: no count is negative")

    @property
    def entries(self) -> tuple[FrameEntry | CaptionEntry, ...]:
        """All that can be forgotten: the frames, then the captions."""
        return *self.frames, *self.captions

    @property
    def num_tokens(self) -> int:
        """Length of the trunk in tokens."""
        return self.fixed_tokens + sum(entry.num_tokens for entry in self.entries)

    @property
    def version(self) -> str:
        """A digest of everything in the ledger: equal on every machine if, and only if, the ledgers are."""
        frames = [
            (int(f.number), int(f.clip), float(f.nll), int(f.num_tokens), int(f.pts_ns)) for f in self.frames
        ]
        captions = [(int(c.clip), int(c.num_tokens)) for c in self.captions]
        whole = repr((frames, captions, int(self.fixed_tokens)))
        return blake2b(whole.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Forget:
    """What to drop from the trunk: frames by number, captions by clip. Empty, it is false."""

    frames: frozenset[FrameNumber] = frozenset()
    captions: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.frames or self.captions)

    def __or__(self, other: Forget) -> Forget:
        return Forget(self.frames | other.frames, self.captions | other.captions)


def apply(ledger: Ledger, forget: Forget) -> Ledger:
    """Returns the ledger without what `forget` names; names that the ledger does not hold are ignored."""
    return Ledger(
        frames=tuple(f for f in ledger.frames if f.number not in forget.frames),
        captions=tuple(c for c in ledger.captions if c.clip not in forget.captions),
        fixed_tokens=ledger.fixed_tokens,
    )


def by_clip(frames: Iterable[FrameEntry]) -> Iterator[list[FrameEntry]]:
    """Yields the frames of each clip, oldest clip first; `frames` are in stream order."""
    return (list(clip) for _, clip in groupby(frames, key=attrgetter("clip")))


def by_worth(frame: FrameEntry) -> tuple[float, FrameNumber]:
    """Sort key, most valuable first: the least surprising frame, ties to the earlier one."""
    return frame.surprise, frame.number
