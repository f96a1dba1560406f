"""Draws questions and exact answers from the states of a clip's events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from random import Random

from livestar.synth.grammar import Facts, with_articles
from livestar.synth.question import Ask, QuestionChain, StandingQuestion
from livestar.synth.story import LEAD_S, Beat, PropT

NOTHING = "none"
_SECONDS_PER_CHAIN = 12.0
_SECONDS_PER_ROUND = 25.0
_SEEN_FOR_S = 0.05
"""A question comes at least this long after the event's first whole second."""


class Interview:
    """Asks about one clip's beats."""

    def __init__(self, beats: Sequence[Beat[PropT]], asks: tuple[Ask, ...], dice: Random) -> None:
        self._spans = [(beat.start_s, beat.end_s) for beat in beats]
        self._states: list[Facts] = [beat.draft.state for beat in beats]
        self._asks = asks
        self._dice = dice

    def standing(self) -> tuple[StandingQuestion, ...]:
        """Returns every standing question whose answer changes at least once."""
        questions = (StandingQuestion(ask.standing, self._answers(ask.key)) for ask in self._asks)
        return tuple(q for q in questions if len(q.answers) > 1)

    def chains(self) -> tuple[QuestionChain, ...]:
        """Returns chains of one to three turns, spread over the clip."""
        count = max(1, round(self._spans[-1][1] / _SECONDS_PER_CHAIN))
        moments = sorted(self._dice.sample(range(len(self._spans)), min(count, len(self._spans))))
        return tuple(chain for i in moments for chain in self._some_chain(i, self._times(i, 3)))

    def rounds(self) -> tuple[tuple[QuestionChain, ...], ...]:
        """Returns rounds of two or three chains about different topics, asked at the same times."""
        count = max(1, round(self._spans[-1][1] / _SECONDS_PER_ROUND))
        moments = sorted(self._dice.sample(range(len(self._spans)), min(count, len(self._spans))))
        rounds = (self._round(i) for i in moments)
        return tuple(r for r in rounds if len(r) > 1)

    def _answers(self, key: str) -> tuple[tuple[float, str], ...]:
        answers: list[tuple[float, str]] = []
        for (start_s, _), state in zip(self._spans, self._states, strict=True):
            answer = state.get(key, NOTHING)
            if not answers or answers[-1][1] != answer:
                answers.append((start_s, answer))
        return tuple(answers)

    def _times(self, moment: int, count: int) -> list[float]:
        start_s, end_s = self._spans[moment]
        first, last = ceil(start_s) + _SEEN_FOR_S, end_s - LEAD_S
        return sorted(round(self._dice.uniform(first, last), 2) for _ in range(count))

    def _some_chain(self, moment: int, times: list[float]) -> Iterable[QuestionChain]:
        topics = self._topics(moment)
        if moment and self._dice.random() < 0.4:
            topics = [(t, True) for t in self._topics_of(moment - 1)] or topics
        if topics:
            topic, past = self._dice.choice(topics)
            yield self._chain(moment, topic, times, past=past)

    def _round(self, moment: int) -> tuple[QuestionChain, ...]:
        times = self._times(moment, 2)
        topics = self._topics(moment)
        if moment:
            topics += [(t, True) for t in self._topics_of(moment - 1)]
        self._dice.shuffle(topics)
        return tuple(self._chain(moment, topic, times, past=past) for topic, past in topics[:3])

    def _topics(self, moment: int) -> list[tuple[str, bool]]:
        return [(topic, False) for topic in self._topics_of(moment)]

    def _topics_of(self, moment: int) -> list[str]:
        return sorted({ask.topic for ask in self._asks if ask.key in self._states[moment]})

    def _chain(self, moment: int, topic: str, times: list[float], *, past: bool) -> QuestionChain:
        state = self._states[moment - 1 if past else moment]
        asks = [ask for ask in self._asks if ask.topic == topic and ask.key in state]
        self._dice.shuffle(asks)
        turns: list[tuple[float, str, str]] = []
        for ask, time_s in zip(asks, times, strict=False):
            question, answer = self._turn(ask, state[ask.key], past=past, follows=bool(turns))
            turns.append((time_s, question, answer))
        return QuestionChain(tuple(turns))

    def _turn(self, ask: Ask, value: str, *, past: bool, follows: bool) -> tuple[str, str]:
        may_check = ask.check and value != NOTHING and not past and not follows
        if may_check and self._dice.random() < 0.35:
            others = sorted({s[ask.key] for s in self._states if ask.key in s} - {value, NOTHING})
            guess = self._dice.choice(others) if others and self._dice.random() < 0.5 else value
            return with_articles(ask.check.format(guess)), "yes" if guess == value else "no"
        if follows:
            return (ask.and_was if past else ask.and_is), value
        return (ask.before if past else ask.now), value
