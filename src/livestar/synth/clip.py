"""Clips: a pure function of family, seed, length and split; they tell, ask and render themselves."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestar.synth.camera import Camera
from livestar.synth.canvas import Canvas
from livestar.synth.family import Casting, Composition, Family
from livestar.synth.grammar import Facts
from livestar.synth.interview import Interview
from livestar.synth.question import Grounding, QuestionChain, StandingQuestion
from livestar.synth.split import Split, dice_for
from livestar.synth.story import LEAD_S, MIN_EVENT_S, Beat, onsets


@dataclass(frozen=True, slots=True)
class Event:
    """One semantic clip: what happens from `start_s` until `end_s`, and how it may be told.

    Every fact can be seen from the first whole second after `start_s` on.
    """

    start_s: float
    end_s: float
    facts: Mapping[str, str]
    narration: str
    paraphrases: tuple[str, ...]


class Clip:
    """One video with its ground truth; owns nothing but a few cached backdrops, and is not thread-safe.

    Raises:
        ValueError: the clip is shorter than one event, or the seed is outside its split's range.
    """

    def __init__(self, family: Family, seed: int, seconds: float, split: Split) -> None:
        if seconds < MIN_EVENT_S:
            raise ValueError(f"a clip lasts at least {MIN_EVENT_S} s, not {seconds}")
        self._family = family
        self.family, self.seed, self.seconds, self.split = family.name, seed, seconds, split
        casting = Casting(self._dice("story"), family.held_out, shows_held_out=split.shows_held_out)
        self._stage = family.stage(casting)
        self._camera = Camera(self._dice("camera"), shows_held_out=split.shows_held_out)
        starts = onsets(self._dice("time"), seconds)
        spans = zip(starts, [*starts[1:], seconds], self._stage.script(len(starts)), strict=True)
        self._beats: list[Beat[Any]] = [Beat(*span) for span in spans]
        self._cues = [beat.start_s - LEAD_S for beat in self._beats]
        self._backdrops: dict[int, NDArray[np.uint8]] = {}

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """Consecutive semantic clips from 0 to the end."""
        dice = self._dice("words")
        tellings = [self._tell(beat, dice) for beat in self._beats]
        return tuple(self._event(beat, telling) for beat, telling in zip(self._beats, tellings, strict=True))

    @cached_property
    def groundings(self) -> tuple[Grounding, ...]:
        """One query for each event that differs, with all intervals of that event."""
        dice = self._dice("queries")
        intervals: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        for beat in self._beats:
            key = tuple(sorted(beat.draft.facts.items()))
            intervals.setdefault(key, []).append((beat.start_s, beat.end_s))
        return tuple(
            Grounding(self._family.grammar.query(dict(key), dice), tuple(spans))
            for key, spans in intervals.items()
        )

    @cached_property
    def standing_questions(self) -> tuple[StandingQuestion, ...]:
        """Questions whose answer changes over the clip; the current frame alone gives it."""
        return self._interview("standing").standing()

    @cached_property
    def question_chains(self) -> tuple[QuestionChain, ...]:
        """Chains about the current event or the one before."""
        return self._interview("chains").chains()

    @cached_property
    def question_rounds(self) -> tuple[tuple[QuestionChain, ...], ...]:
        """Rounds of parallel chains: those of one round are asked at the same times."""
        return self._interview("rounds").rounds()

    @property
    def camera_condition(self) -> tuple[str, str]:
        """Light and lens."""
        return self._camera.condition

    @property
    def held_out(self) -> frozenset[str]:
        """Which of "composition" and "camera" training never saw."""
        composition = {"composition"} if compositions_in(self) & self._family.held_out else set()
        return frozenset(composition | ({"camera"} if self._camera.held_out else set()))

    @property
    def states(self) -> tuple[Facts, ...]:
        """For every event, all that its frames show."""
        return tuple(beat.draft.state for beat in self._beats)

    def render(self, t_s: float, size: int = 224) -> NDArray[np.uint8]:
        """Returns the frame at `t_s` as RGB uint8 [size, size, 3]; the order of calls does not matter.

        Raises:
            ValueError: the time is outside the clip.
        """
        if not 0 <= t_s <= self.seconds:
            raise ValueError(f"the clip covers 0 to {self.seconds} s, not {t_s} s")
        canvas = Canvas(self._backdrop(size).copy())
        beat = self._beats[bisect_right(self._cues, t_s) - 1]
        self._stage.draw(canvas, beat, t_s - beat.start_s, t_s)
        return self._camera.develop(canvas.pixels, t_s)

    def _backdrop(self, size: int) -> NDArray[np.uint8]:
        if size not in self._backdrops:
            pixels = np.zeros((size, size, 3), np.uint8)
            self._stage.paint_backdrop(Canvas(pixels), self._dice("backdrop"))
            self._backdrops[size] = pixels
        return self._backdrops[size]

    def _tell(self, beat: Beat[Any], dice: Random) -> tuple[str, ...]:
        return self._family.grammar.tell(beat.draft.facts, dice, first=beat.start_s == 0)

    def _event(self, beat: Beat[Any], telling: tuple[str, ...]) -> Event:
        return Event(beat.start_s, beat.end_s, dict(beat.draft.facts), telling[0], telling[1:])

    def _interview(self, purpose: str) -> Interview:
        return Interview(self._beats, self._family.asks, self._dice(purpose))

    def _dice(self, purpose: str) -> Random:
        return dice_for(self._family.name, self.seed, self.split, purpose)


def compositions_in(clip: Clip) -> frozenset[Composition]:
    """Returns every pair of facts that the clip shows together and that its family counts as a composition."""
    pairs = clip._family.pairs
    return frozenset(
        ((a, state[a]), (b, state[b])) for state in clip.states for a, b in pairs if a in state and b in state
    )
