"""Delivers frames when they would be seen, or as fast as they can be had."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import Protocol

from livestar.media.video import SampledFrame

NS_PER_S = 1_000_000_000


class Clock(Protocol):
    """Tells the time and lets it pass. The module `time` is one."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""

    def sleep(self, seconds: float, /) -> None:
        """Returns `seconds` later."""


def pace(frames: Iterable[SampledFrame], speed: float | None, clock: Clock = time) -> Iterator[SampledFrame]:
    """Yields every frame, none before its time.

    The first frame is due when it arrives, frame i (pts_i - pts_1) / speed later. A late frame comes at once,
    and those after it keep their times, so lateness is made up.

    Args:
        frames: in order of their pts; a frame is asked for only when the one before has been handled.
        speed: 1 for the pace of life, 2 for twice as fast; None never waits (a live source paces itself).
        clock: waits and tells the time.

    Raises:
        ValueError: `speed` is not a positive number.
    """
    if speed is None:
        return iter(frames)
    if not (speed > 0 and math.isfinite(speed)):
        raise ValueError(f"speed must be a positive number or None, not {speed}")
    return _paced(iter(frames), speed * NS_PER_S, clock)


def _paced(frames: Iterator[SampledFrame], ns_per_s: float, clock: Clock) -> Iterator[SampledFrame]:
    origin_s: float | None = None
    for frame in frames:
        pts_s = frame.pts_ns / ns_per_s
        if origin_s is None:
            origin_s = clock.monotonic() - pts_s
        wait_s = origin_s + pts_s - clock.monotonic()
        if wait_s > 0:
            clock.sleep(wait_s)
        yield frame
