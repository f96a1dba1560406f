"""How things move: easing over time, and a gentle sway without memory."""

from __future__ import annotations

from math import sin, tau


def lerp(a: float, b: float, share: float) -> float:
    """Returns the point `share` of the way from `a` to `b`."""
    return a + (b - a) * share


def ramp(t: float, start: float, end: float) -> float:
    """Rises straight from 0 at `start` to 1 at `end`; flat outside."""
    return min(1.0, max(0.0, (t - start) / (end - start)))


def ease(t: float, start: float, end: float) -> float:
    """Rises smoothly from 0 at `start` to 1 at `end`; flat outside."""
    x = ramp(t, start, end)
    return x * x * (3 - 2 * x)


def arrive(t: float, start: float, end: float) -> float:
    """Rises from 0 at `start` to 1 at `end`, fast at first and slow at last."""
    return 1 - (1 - ramp(t, start, end)) ** 3


def sway(t: float, period_s: float, phase: float = 0.0) -> float:
    """Swings in [-1, 1]; `phase` in turns."""
    return sin(tau * (t / period_s + phase))
