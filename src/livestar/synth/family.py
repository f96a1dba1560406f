"""A family: one kind of scene with its sentences, questions, cast and way of drawing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Generic

from livestar.synth.canvas import Canvas
from livestar.synth.grammar import Grammar
from livestar.synth.question import Ask
from livestar.synth.story import Beat, Draft, PropT

Composition = tuple[tuple[str, str], tuple[str, str]]
"""Two facts together, such as (("colour", "green"), ("vehicle", "truck"))."""


class Casting:
    """Draws attributes; combinations that are held out never come up unless the split shows them."""

    def __init__(self, dice: Random, held_out: frozenset[Composition], *, shows_held_out: bool) -> None:
        self.dice = dice
        self._barred = frozenset() if shows_held_out else held_out

    def pick(self, **options: Sequence[str]) -> dict[str, str]:
        """Draws one value for each key."""
        while True:
            cast = {key: self.dice.choice(values) for key, values in options.items()}
            if self.allows(cast):
                return cast

    def allows(self, cast: dict[str, str]) -> bool:
        """Whether the values may be seen together."""
        return not any(dict(pair).items() <= cast.items() for pair in self._barred)


class Stage(ABC, Generic[PropT]):
    """One clip's world: it drafts what happens next, and draws any moment of it."""

    def __init__(self, casting: Casting) -> None:
        self.casting = casting
        self.dice = casting.dice

    def script(self, count: int) -> list[Draft[PropT]]:
        """Drafts the events of the clip, of which no two in a row have the same facts."""
        drafts: list[Draft[PropT]] = []
        while len(drafts) < count:
            draft = self.invent(drafts[-1] if drafts else None)
            if not drafts or draft.facts != drafts[-1].facts:
                drafts.append(draft)
        return drafts

    @abstractmethod
    def invent(self, before: Draft[PropT] | None) -> Draft[PropT]:
        """Proposes the event after `before`; whatever lasts from event to event is in the draft."""

    @abstractmethod
    def paint_backdrop(self, canvas: Canvas, dice: Random) -> None:
        """Paints what never changes in this clip."""

    @abstractmethod
    def draw(self, canvas: Canvas, beat: Beat[PropT], since_s: float, t_s: float) -> None:
        """Draws what changes; `since_s` runs from -LEAD_S to the next event's lead, `t_s` through the clip."""


@dataclass(frozen=True)
class Family:
    """What the clips of one kind of scene share.

    `pairs` are the keys of a state that make up compositions; `held_out` are compositions for TEST only.
    """

    name: str
    description: str
    grammar: Grammar
    asks: tuple[Ask, ...]
    pairs: tuple[tuple[str, str], ...]
    held_out: frozenset[Composition]
    stage: type[Stage[Any]]
