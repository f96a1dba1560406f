"""Odd timestamps, straightened."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestar.media.timeline import MAX_LATE_FRAMES, Timeline

pytestmark = pytest.mark.unit

MS = Fraction(1, 1000)


def placed_ms(*pts_ms: int | None) -> list[int | None]:
    timeline = Timeline(MS, 40 * MS)
    return [None if time is None else int(time / MS) for time in map(timeline.place, pts_ms)]


@pytest.mark.parametrize(
    ("pts_ms", "placed"),
    [
        ((0, 40, 80), [0, 40, 80]),
        ((7000, 7040, 7100), [0, 40, 100]),
        ((-80, -40, 0), [0, 40, 80]),
        ((None, None, None), [0, 40, 80]),
        ((500, None, 580), [0, 40, 80]),
        ((None, 500, 540), [0, 40, 80]),
        ((0, 40, 40, 80), [0, 40, 40, 80]),
        ((0, 40, 3_000_000, 3_000_040), [0, 40, 3_000_000, 3_000_040]),
        ((0, 40, 4_000_000, 4_000_040), [0, 40, 80, 120]),
        ((0, 80, 40, 120), [0, 80, None, 120]),
        ((9000, 9040, 0, 40, 80), [0, 40, 80, 120, 160]),
        ((9000, 9040, 0, 40, None, 9000), [0, 40, 80, 120, 160, 9080]),
    ],
)
def test_places(pts_ms: tuple[int | None, ...], placed: list[int | None]) -> None:
    assert placed_ms(*pts_ms) == placed


def test_a_short_loop_does_not_freeze_time() -> None:
    """Half a second, again and again: never a second behind, yet the clock was set back."""
    loop = [ms for _ in range(4) for ms in range(0, 800, 40)]
    placed = [ms for ms in placed_ms(*loop) if ms is not None]
    assert placed == sorted(placed)
    assert len(placed) == len(loop) - 3 * MAX_LATE_FRAMES


@given(st.lists(st.none() | st.integers(-(2**33), 2**33)))
def test_never_goes_back(pts_ms: list[int | None]) -> None:
    placed = [ms for ms in placed_ms(*pts_ms) if ms is not None]
    assert placed == sorted(placed)
    assert placed[:1] == ([0] if pts_ms else [])
