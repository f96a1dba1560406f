"""How late the first words about an event came, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from livestar.evaluation.omnistar import NarratedVideo, TimedCaption
from livestar.evaluation.synthstar_events import told_events
from livestar.evaluation.synthstar_watched import Watched


@dataclass(frozen=True)
class Delays:
    """Events by the delay of their first caption.

    Attributes:
        counts: events whose first caption came 0 s, 1 s, 2 s … after their first frame.
        missed: events in which nothing was said.
    """

    counts: tuple[int, ...]
    missed: int

    @classmethod
    def of(cls, delays_s: Iterable[int | None]) -> Self:
        """Counts delays; None is a missed event."""
        counted = Counter(delays_s)
        missed = counted.pop(None, 0)
        last = max((delay for delay in counted if delay is not None), default=-1)
        return cls(tuple(counted[delay] for delay in range(last + 1)), missed)

    @classmethod
    def of_clips(cls, clips: Iterable[Watched]) -> Self:
        """Counts the delays of clips whose facts are known."""
        events = (told for clip in clips for told in told_events(clip))
        return cls.of(told.delays_s[0] if told.delays_s else None for told in events)

    @classmethod
    def of_videos(cls, videos: Iterable[tuple[NarratedVideo, tuple[TimedCaption, ...]]]) -> Self:
        """Counts the delays of what was said over narrated videos."""
        return cls.of(
            min((c.time_s - s.start_s for c in said if s.start_s <= c.time_s <= s.end_s), default=None)
            for video, said in videos
            for s in video.segments
        )

    def report(self) -> dict[str, object]:
        """The counts as JSON has them."""
        return {"counts": list(self.counts), "missed": self.missed}
