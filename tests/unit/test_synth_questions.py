from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from itertools import pairwise
from math import ceil

import pytest

from livestar.synth import Clip, QuestionChain, families, make_clip
from livestar.synth.catalogue import family_named
from livestar.synth.grammar import with_articles

pytestmark = pytest.mark.unit

FAMILIES = [family.name for family in families()]
SEEDS = range(40)


def moment(clip: Clip, time_s: float) -> int:
    return bisect_right([event.start_s for event in clip.events], time_s) - 1


def answers_to(clip: Clip, question: str, i: int) -> set[str]:
    """Every answer that the family's wording allows for a question asked during event `i`."""
    found = set()
    for ask in family_named(clip.family).asks:
        now, before = clip.states[i].get(ask.key), clip.states[i - 1].get(ask.key) if i else None
        if now is not None:
            found |= {now for text in (ask.now, ask.and_is) if text == question}
            values = {s[ask.key] for s in clip.states if ask.key in s}
            checks = {
                value for value in values if ask.check and with_articles(ask.check.format(value)) == question
            }
            found |= {"yes" if value == now else "no" for value in checks}
        if before is not None:
            found |= {before for text in (ask.before, ask.and_was) if text == question}
    return found


def assert_right(clip: Clip, chain: QuestionChain) -> None:
    indices = {moment(clip, time_s) for time_s, _, _ in chain.turns}
    assert len(indices) == 1
    (i,) = indices
    for time_s, question, answer in chain.turns:
        assert answer in answers_to(clip, question, i)
        assert ceil(clip.events[i].start_s) < time_s < clip.events[i].end_s
        assert 1 <= len(answer.split()) <= 6
    assert all(a[0] <= b[0] for a, b in pairwise(chain.turns))
    assert not chain.turns[0][1].startswith("And ")
    assert all(turn[1].startswith("And ") for turn in chain.turns[1:])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_answer_to_a_standing_question_is_what_each_event_shows(family: str) -> None:
    asked = set()
    for seed in SEEDS:
        clip = make_clip(family, seed, 120)
        for question in clip.standing_questions:
            asked.add(question.text)
            ask = next(a for a in family_named(family).asks if a.standing == question.text)
            times = [time_s for time_s, _ in question.answers]
            assert len(times) > 1
            assert all(a[1] != b[1] for a, b in pairwise(question.answers))
            for event, state in zip(clip.events, clip.states, strict=True):
                at = question.answers[bisect_right(times, event.start_s) - 1][1]
                assert at == state.get(ask.key, "none")
    assert len(asked) >= 4


@pytest.mark.parametrize("family", FAMILIES)
def test_chains_and_rounds_have_right_answers(family: str) -> None:
    follow_ups = 0
    for seed in SEEDS:
        clip = make_clip(family, seed, 120)
        assert clip.question_chains
        for chain in clip.question_chains:
            assert_right(clip, chain)
            follow_ups += len(chain.turns) > 1
        for chains in clip.question_rounds:
            assert len(chains) >= 2
            assert len({chain.turns[0][0] for chain in chains}) == 1
            for chain in chains:
                assert_right(clip, chain)
    assert follow_ups > 20


@pytest.mark.parametrize("family", FAMILIES)
def test_within_a_clip_a_question_of_a_kind_has_one_answer_at_a_time(family: str) -> None:
    for seed in SEEDS:
        clip = make_clip(family, seed, 120)
        answers: dict[tuple[str, int], set[str]] = defaultdict(set)
        chains = (*clip.question_chains, *(c for chains in clip.question_rounds for c in chains))
        for chain in chains:
            time_s, question, answer = chain.turns[0]
            answers[question, moment(clip, time_s)].add(answer)
        assert all(len(found) == 1 for found in answers.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_narrated_facts_agree_with_what_the_frames_show(family: str) -> None:
    for seed in SEEDS:
        clip = make_clip(family, seed, 120)
        for event, state in zip(clip.events, clip.states, strict=True):
            assert all(state.get(key, value) == value for key, value in event.facts.items())
