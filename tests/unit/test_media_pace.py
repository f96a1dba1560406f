"""Delivery at the pace of life, in virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from livestar.core.ids import FrameNumber
from livestar.media import SampledFrame, pace

pytestmark = pytest.mark.unit


@dataclass
class VirtualClock:
    now_s: float = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float, /) -> None:
        assert seconds > 0
        self.now_s += seconds


def frames_at(*times_s: float) -> Iterator[SampledFrame]:
    for number, time_s in enumerate(times_s, start=1):
        yield SampledFrame(
            FrameNumber(number), round(time_s * 1e9), np.zeros((2, 2, 3), np.uint8), number - 1
        )


@pytest.mark.parametrize(
    ("speed", "expected"), [(1, [0, 1, 2.5, 60]), (4, [0, 0.25, 0.625, 15]), (None, [0, 0, 0, 0])]
)
def test_delivers_when_due(speed: float | None, expected: list[float]) -> None:
    clock = VirtualClock()
    delivered = [clock.now_s - 1000 for _ in pace(frames_at(0, 1, 2.5, 60), speed, clock)]
    assert delivered == pytest.approx(expected)


def test_counts_from_the_first_frame() -> None:
    clock = VirtualClock()
    assert [clock.now_s - 1000 for _ in pace(frames_at(30, 31), 1, clock)] == pytest.approx([0, 1])


def test_lateness_is_made_up_and_no_frame_is_lost() -> None:
    clock = VirtualClock()
    delivered = []
    for frame in pace(frames_at(0, 1, 2, 3, 4, 5), 1, clock):
        delivered.append((frame.number, clock.now_s - 1000))
        if frame.number == 2:
            clock.now_s += 2.5
    assert delivered == [(1, 0), (2, 1), (3, 3.5), (4, 3.5), (5, 4), (6, 5)]


def test_asks_for_one_frame_at_a_time() -> None:
    source = frames_at(0, 1, 2)
    next(pace(source, 1, VirtualClock()))
    assert next(source).number == 2


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf")])
def test_speed_is_positive(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        pace(frames_at(0), speed)
