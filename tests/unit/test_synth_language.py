from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestar.synth import Split, families, make_clip, parse_facts

pytestmark = pytest.mark.unit

FAMILIES = [family.name for family in families()]
CONNECTIVE = re.compile(r"(Then|Next,|After that,|Now|Meanwhile,) ")


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower()))


@pytest.mark.parametrize("family", FAMILIES)
def test_parsing_inverts_every_telling(family: str) -> None:
    for seed in range(150):
        clip = make_clip(family, seed, 60, tuple(Split)[seed % 3])
        for i, event in enumerate(clip.events):
            tellings = (event.narration, *event.paraphrases)
            assert len(set(tellings)) >= 3
            for text in tellings:
                assert parse_facts(family, text) == event.facts, text
                assert 8 <= len(text.split()) <= 20
                assert bool(CONNECTIVE.match(text)) == (i > 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_queries_state_the_facts_of_their_intervals(family: str) -> None:
    for seed in range(60):
        clip = make_clip(family, seed, 120)
        for grounding in clip.groundings:
            facts = parse_facts(family, grounding.query)
            matching = tuple((e.start_s, e.end_s) for e in clip.events if e.facts == facts)
            assert grounding.intervals == matching


def test_a_text_that_breaks_off_keeps_what_it_said() -> None:
    text = "Then a green bus drives across the"
    assert parse_facts("traffic", text) == {"colour": "green", "vehicle": "bus"}
    assert parse_facts("traffic", "  a GREEN bus drives across the junction from the left ")["side"] == "left"
    assert parse_facts("traffic", "a green cow drives across the junction") == {"colour": "green"}
    assert parse_facts("traffic", "") == {}


@pytest.mark.parametrize("family", FAMILIES)
@given(text=st.text(max_size=60))
def test_parsing_takes_any_text(family: str, text: str) -> None:
    assert "event" not in parse_facts(family, text)


@pytest.mark.parametrize("family", FAMILIES)
def test_shuffled_words_rarely_make_an_event(family: str) -> None:
    dice = Random(1)
    for event in make_clip(family, 0, 120).events:
        text = event.narration.rstrip(".").split()
        dice.shuffle(text)
        assert parse_facts(family, " ".join(text)) != event.facts


def test_an_unknown_family_says_so() -> None:
    with pytest.raises(ValueError, match="no family"):
        parse_facts("street", "a car")


def test_the_vocabulary_is_small() -> None:
    vocabulary: set[str] = set()
    for family in FAMILIES:
        for seed in range(25):
            clip = make_clip(family, seed, 120)
            chains = (*clip.question_chains, *(c for chains in clip.question_rounds for c in chains))
            vocabulary |= words(" ".join(t for e in clip.events for t in (e.narration, *e.paraphrases)))
            vocabulary |= words(" ".join(f"{q} {a}" for chain in chains for _, q, a in chain.turns))
            for question in clip.standing_questions:
                vocabulary |= words(" ".join((question.text, *(answer for _, answer in question.answers))))
    assert len(vocabulary) < 600
