"""Policies to compare with, at the same budget and under the same bound as `TokenBudget`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from livestar.memory.bound import BoundedMemory
from livestar.memory.dice import throw
from livestar.memory.ledger import Forget, FrameEntry, Ledger


@dataclass(frozen=True)
class KeepEverything:
    """Never forgets; the trunk grows with the stream."""

    def plan(self, ledger: Ledger) -> Forget:  # noqa: ARG002 - the protocol's signature
        """Returns an empty plan."""
        return Forget()


@dataclass(frozen=True)
class Recent:
    """Keeps the newest `num_frames` frames, the one that comes included, and no caption.

    A plan is asked for before a frame comes, so it leaves one frame fewer.

    Source: SimpleStream, the baseline of the last few frames.

    Raises:
        ValueError: `num_frames` is less than 1.
    """

    num_frames: int = 4

    def __post_init__(self) -> None:
        if self.num_frames < 1:
            raise ValueError(f"num_frames is at least 1, not {self.num_frames}")

    def plan(self, ledger: Ledger) -> Forget:
        """Returns all captions and all but the newest frames."""
        older = ledger.frames[: max(0, len(ledger.frames) - self.num_frames + 1)]
        return Forget(
            frames=frozenset(frame.number for frame in older),
            captions=frozenset(caption.clip for caption in ledger.captions),
        )


@dataclass(frozen=True, kw_only=True)
class Fifo(BoundedMemory):
    """Forgets the oldest frame first."""

    def forgetting_order(self, older: tuple[FrameEntry, ...], newest: FrameEntry) -> tuple[FrameEntry, ...]:  # noqa: ARG002
        """Returns the frames as they came."""
        return older


@dataclass(frozen=True, kw_only=True)
class RandomDrop(BoundedMemory):
    """Keeps a random sample of all frames seen: every frame draws its rank once, from `seed` and number."""

    seed: int = 0

    def forgetting_order(self, older: tuple[FrameEntry, ...], newest: FrameEntry) -> list[FrameEntry]:  # noqa: ARG002
        """Returns the frames by rank."""
        return sorted(older, key=lambda frame: throw(self.seed, frame.number))


@dataclass(frozen=True, kw_only=True)
class Uniform(BoundedMemory):
    """Keeps frames evenly spaced in time: the one that leaves the smallest gap goes first, the first last."""

    def forgetting_order(self, older: tuple[FrameEntry, ...], newest: FrameEntry) -> Iterator[FrameEntry]:
        """Yields the frames by the gap that they leave, ties oldest first."""
        pts_ns = [frame.pts_ns for frame in (*older, newest)]
        before = list(range(-1, len(older)))
        after = list(range(1, len(older) + 2))
        gaps = [(pts_ns[i + 1] - pts_ns[i - 1], i) for i in range(1, len(older))]
        heapify(gaps)
        while gaps:
            gap_ns, i = heappop(gaps)
            now_ns = pts_ns[after[i]] - pts_ns[before[i]]
            if gap_ns != now_ns:  # a neighbour went since: queue it again with the gap that it leaves now
                heappush(gaps, (now_ns, i))
                continue
            yield older[i]
            after[before[i]], before[after[i]] = after[i], before[i]
        yield from older[:1]
