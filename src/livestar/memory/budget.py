"""Peak-End under a token budget: the default memory of a live stream."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from livestar.core.ids import FrameNumber
from livestar.memory.bound import BoundedMemory
from livestar.memory.ledger import FrameEntry, by_clip, by_worth


@dataclass(frozen=True, kw_only=True)
class TokenBudget(BoundedMemory):
    """Thins every event to its peaks, then empties the oldest events, then forgets the oldest captions.

    1. Per event, frames above the event's median surprise go; round after round, oldest event first, while a
       round still finds one. Every event keeps its least surprising frame.
    2. Frames go, oldest first: the oldest events are left with their caption only.
    3. Captions go, oldest first.
    4. Only if the trunk still exceeds the limit, the frames of the last `protect_s` seconds go, oldest first.

    Each step stops at the low-water mark (step 4: at the limit). Frames of the last `protect_s` seconds
    before the newest are spared by steps 1 to 3 and take no part in the median; when they alone exceed the
    low-water mark, all older memory goes. O(n log n) for n frames.

    Source: the median rule follows LiveStarPro (arXiv 2606.17798); the budget in tokens, the protected
        seconds and the order of the steps are ours.

    Raises:
        ValueError: as `BoundedMemory`, or `protect_s` is negative or not finite.
    """

    protect_s: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.protect_s) and self.protect_s >= 0):
            raise ValueError(f"protect_s must be finite and not negative, not {self.protect_s}")

    def forgetting_order(self, older: tuple[FrameEntry, ...], newest: FrameEntry) -> Iterator[FrameEntry]:
        """Yields the unprotected frames: first those above a median, then the rest, oldest first."""
        horizon_ns = newest.pts_ns - round(self.protect_s * 1e9)
        exposed = [frame for frame in older if frame.pts_ns <= horizon_ns]
        thinned: set[FrameNumber] = set()
        for frame in _above_medians(by_clip(exposed)):
            thinned.add(frame.number)
            yield frame
        yield from (frame for frame in exposed if frame.number not in thinned)


def _above_medians(clips: Iterable[list[FrameEntry]]) -> Iterator[FrameEntry]:
    """Yields frames above their clip's median, most surprising first; a clip that loses none is finished."""
    ranked = [sorted(clip, key=by_worth) for clip in clips]
    while ranked:
        thinner: list[list[FrameEntry]] = []
        for clip in ranked:
            num_kept = _num_up_to_median(clip)
            yield from reversed(clip[num_kept:])
            if num_kept < len(clip):
                thinner.append(clip[:num_kept])
        ranked = thinner


def _num_up_to_median(ranked: list[FrameEntry]) -> int:
    # The lower of two middle values: none lies between it and their mean, and infinities need no averaging.
    median = ranked[(len(ranked) - 1) // 2].surprise
    return bisect_right(ranked, median, key=attrgetter("surprise"))
