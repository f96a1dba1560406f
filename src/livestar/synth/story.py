"""A story: what happens when, before it is told or drawn."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from random import Random
from typing import Generic, TypeVar

from livestar.synth.grammar import Facts

LEAD_S = 0.25
"""What makes an event visible moves in this time before its start; no whole second falls into it."""

MIN_EVENT_S = 3.0

_FIRST_FRACTION, _LAST_FRACTION = 0.28, 0.96
_SHORTEST_GAP_S, _LONGEST_GAP_S = 3.8, 8.7

PropT = TypeVar("PropT")


@dataclass(frozen=True, slots=True)
class Draft(Generic[PropT]):
    """An event to be: `facts` are narrated, `state` is all that a frame of it shows, `prop` is for drawing."""

    facts: Facts
    state: Facts
    prop: PropT


@dataclass(frozen=True, slots=True)
class Beat(Generic[PropT]):
    """A draft with its time."""

    start_s: float
    end_s: float
    draft: Draft[PropT]

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.end_s - self.start_s


def onsets(dice: Random, seconds: float) -> list[float]:
    """Draws when events start: the first at 0, the others off the whole seconds, each at least 3 s long."""
    times = [0.0]
    while True:
        whole = floor(times[-1] + dice.uniform(_SHORTEST_GAP_S, _LONGEST_GAP_S))
        onset = round(whole + dice.uniform(_FIRST_FRACTION, _LAST_FRACTION), 3)
        if seconds - onset < MIN_EVENT_S:
            return times
        times.append(onset)
