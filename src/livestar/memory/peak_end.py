"""Peak-End: an event is remembered by its least perplexing frames and by its terminal caption.

Neither policy bounds the trunk: both keep every caption and at least one frame of every event (see
`TokenBudget`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from livestar.memory.dice import throw
from livestar.memory.ledger import Forget, FrameEntry, Ledger, by_clip, by_worth


@dataclass(frozen=True)
class PublishedPeakEnd:
    """The published selection: above `trigger_frames` frames, every event keeps its better half.

    An event of n frames keeps the ceil(n/2) with the lowest NLL; ties keep the earlier frame. Events that
    were halved before are halved again, which stands in for the age term of the paper.

    Source: LiveStar (arXiv 2511.05299), Peak-End memory compression, as published in its speed evaluation.
    """

    trigger_frames: int = 24

    def plan(self, ledger: Ledger) -> Forget:
        """Returns the worse half of every event once more than `trigger_frames` frames are held."""
        if len(ledger.frames) <= self.trigger_frames:
            return Forget()
        halves = (sorted(clip, key=by_worth)[(len(clip) + 1) // 2 :] for clip in by_clip(ledger.frames))
        return Forget(frames=frozenset(frame.number for half in halves for frame in half))


@dataclass(frozen=True)
class ProbabilisticPeakEnd:
    """The paper's rule: frames older than a window are forgotten at random, perplexing and old ones sooner.

    The paper gives proportionality only; the closed form here is ours. A frame of age a > `window_frames`
    (in frame numbers, behind the newest) is forgotten at this step with p = min(1, strength * PPL / PPL_max
    * a / a_max), where PPL_max is the largest perplexity among the held frames of its event and a_max the
    age of the oldest held frame. A frame without a finite score counts as PPL_max.

    The paper does not say what happens to an event that would lose every frame: here its least perplexing
    one stays, for an event is remembered by its peak and its end. `strength` is a probability per step; at
    1 almost everything behind the window is gone after a few frames.

    The dice are thrown for (seed, frame, newest frame), so a run repeats exactly, however often it asks.

    Source: LiveStar (arXiv 2511.05299), Peak-End memory compression.

    Raises:
        ValueError: the window is negative, or the strength is negative or not finite.
    """

    window_frames: int = 40
    strength: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.window_frames < 0:
            raise ValueError(f"window_frames must not be negative, not {self.window_frames}")
        if not (math.isfinite(self.strength) and self.strength >= 0):
            raise ValueError(f"strength must be finite and not negative, not {self.strength}")

    def plan(self, ledger: Ledger) -> Forget:
        """Returns the frames behind the window that lost their throw."""
        if not ledger.frames:
            return Forget()
        oldest, newest = ledger.frames[0].number, ledger.frames[-1].number
        doomed = {
            frame.number
            for clip in by_clip(ledger.frames)
            for frame, relative_ppl in _but_the_peak(clip)
            if (age := newest - frame.number) > self.window_frames
            and throw(self.seed, frame.number, newest)
            < self.strength * relative_ppl * age / (newest - oldest)
        }
        return Forget(frames=frozenset(doomed))


def _but_the_peak(clip: list[FrameEntry]) -> Iterator[tuple[FrameEntry, float]]:
    # exp() of a difference that is never positive: a perplexity itself may overflow.
    highest = max((f.surprise for f in clip if math.isfinite(f.surprise)), default=math.inf)
    peak = min(clip, key=by_worth)
    for frame in clip:
        if frame is not peak:
            yield frame, 1.0 if math.isinf(frame.surprise) else math.exp(frame.surprise - highest)
