"""The events of a watched clip: what was said in each, how late, and how much of it is true.

Everything happens at whole seconds, those of the frames: an event begins at the first frame at or after its onset.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from livestar.evaluation.synth_annotations import EventRow
from livestar.evaluation.synthstar_watched import Said, Watched
from livestar.synth import parse_facts
from livestar.synth.grammar import EVENT


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """One event and what was said while it lasted.

    Attributes:
        length_s: frames of the event.
        delays_s: of every caption, in frames behind the event's first one.
        truth: the true narration.
        text: the first caption; empty when nothing was said.
        stated: facts that the first caption states.
        right: how many of them are true.
        true: facts of the event.
    """

    length_s: int
    delays_s: tuple[int, ...]
    truth: str
    text: str
    stated: int
    right: int
    true: int

    @property
    def outputs(self) -> int:
        """How many captions fell into the event."""
        return len(self.delays_s)

    @property
    def first_delay_s(self) -> int:
        """Delay of the first caption; the event's length when nothing was said."""
        return self.delays_s[0] if self.delays_s else self.length_s

    @property
    def cumulative_delay_s(self) -> int:
        """Delays of all captions together; the event's length when nothing was said."""
        return sum(self.delays_s) if self.delays_s else self.length_s

    @property
    def f1(self) -> float:
        """Agreement of the first caption's facts with the true ones; 0 when nothing was said."""
        return 2 * self.right / max(1, self.stated + self.true)


def told_events(watched: Watched) -> Iterator[ToldEvent]:
    """The events of a clip in order; none when the narration was not scored."""
    if watched.said is None:
        return
    for event in watched.clip.events:
        first, end = frame_span(event.start_s, event.end_s)
        inside = [said for said in watched.said if first <= said.second < end]
        text = inside[0].text if inside else ""
        stated = parse_facts(watched.clip.family, text) if inside else {}
        yield ToldEvent(
            length_s=end - first,
            delays_s=tuple(said.second - first for said in inside),
            truth=event.narration,
            text=text,
            stated=len(stated),
            right=_count_right(event, stated),
            true=len(event.facts),
        )


def caption_pairs(watched: Watched) -> tuple[tuple[str, str], ...]:
    """For every event its true narration and the first caption said in it, or an empty text."""
    return tuple((told.truth, told.text) for told in told_events(watched))


def fluent(family: str, said: Iterable[Said]) -> Iterator[bool]:
    """For every caption, whether it is one whole sentence of the family's grammar and not the one before again."""
    texts = ["", *(each.text for each in said)]
    for before, text in pairwise(texts):
        yield EVENT in parse_facts(family, text) and text != before


def frame_span(start_s: float, end_s: float) -> tuple[int, int]:
    """The first frame of an interval, and the first one after it."""
    return math.ceil(start_s), math.ceil(end_s)


def _count_right(event: EventRow, stated: dict[str, str]) -> int:
    return sum(event.facts.get(name) == value for name, value in stated.items())
