"""What subscribers saw, taken stock of: nothing lost, twice or out of order; and how long each fault kept them waiting."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chaos.listener import Heard, Listener
from fakes.decoding import decisions
from livestar.api.v1.events_pb2 import StreamEvent


@dataclass(frozen=True)
class Losses:
    """Counts over all subscribers and frames.

    Attributes:
        lost: events that a subscriber never got, and frames that were neither decided nor told as missing.
        duplicated: events that came twice, and frames that a channel decided twice.
        reordered: events that came after a later one.
        told_missing: frames that were said to be missing, with a reason: none of the above.
    """

    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    told_missing: int = 0

    def __add__(self, other: Losses) -> Losses:
        return Losses(
            self.lost + other.lost,
            self.duplicated + other.duplicated,
            self.reordered + other.reordered,
            self.told_missing + other.told_missing,
        )


def of_subscriber(heard: Sequence[Heard], last_sequence: int) -> Losses:
    """What one subscriber missed of a stream's events 1 to `last_sequence`."""
    sequences = [h.event.sequence for h in heard if h.event.sequence]
    counts = Counter(sequences)
    return Losses(
        lost=sum(n not in counts for n in range(1, last_sequence + 1)),
        duplicated=sum(count - 1 for count in counts.values()),
        reordered=sum(b < a for a, b in itertools.pairwise(sequences)),
    )


def of_stream(events: Sequence[StreamEvent]) -> Losses:
    """What became of the frames of a stream: each is decided once by its narration, or told as missing."""
    decided = [(frame, d.channel) for frame, d in decisions(events)]
    narrated = [frame for frame, channel in decided if channel == "narration"]
    missing: set[int] = set()
    for event in events:
        if event.HasField("frames_missing"):
            missing |= set(range(event.frames_missing.first_sequence, event.frames_missing.last_sequence + 1))
    known = set(narrated) | missing
    return Losses(
        lost=sum(n not in known for n in range(1, max(narrated, default=0) + 1)),
        duplicated=sum(count - 1 for count in Counter(decided).values()) + len(set(narrated) & missing),
        reordered=sum(b < a for a, b in itertools.pairwise(narrated)),
        told_missing=len(missing),
    )


def longest_silence_s(listener: Listener, begin_s: float, end_s: float, period_s: float) -> float:
    """Longest time between two decisions that overlaps a span, beyond the stream's own period."""
    times = sorted(h.at_s for h in listener.heard if h.event.HasField("decision"))
    longest = 0.0
    for before, after in itertools.pairwise(times):
        if after > begin_s and before < end_s:
            longest = max(longest, after - before)
    return max(0.0, longest - period_s)


def spread(gaps_s: Sequence[float]) -> dict[str, float | int | None]:
    """p50, p95 and the largest, in seconds."""
    if not gaps_s:
        return {"count": 0, "p50_s": None, "p95_s": None, "max_s": None}
    p50, p95, top = np.quantile(gaps_s, [0.5, 0.95, 1.0])
    return {
        "count": len(gaps_s),
        "p50_s": round(float(p50), 2),
        "p95_s": round(float(p95), 2),
        "max_s": round(float(top), 2),
    }
