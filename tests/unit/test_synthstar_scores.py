from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from livestar.evaluation.grounding import find_query
from livestar.evaluation.synth_annotations import (
    ClipAnnotations,
    EventRow,
    GroundingRow,
    StandingRow,
    TurnRow,
)
from livestar.evaluation.synthstar_scores import Scores, report, score
from livestar.evaluation.synthstar_watched import Answered, Forced, Said, Watched

pytestmark = pytest.mark.unit

GREEN = "The traffic light turns green while the road is empty."
YELLOW = "Then, the traffic light turns yellow while the road is empty."
RED = "After that, the traffic light turns red while the road is empty."


def event(start_s: float, end_s: float, light: str, text: str) -> EventRow:
    facts = {"event": "light", "light": light}
    return EventRow(start_s=start_s, end_s=end_s, facts=facts, narration=text, paraphrases=())


CLIP = ClipAnnotations(
    video_id="traffic-1",
    video="traffic-1.mp4",
    family="traffic",
    seed=1,
    split="val",
    seconds=12.0,
    fps=1,
    size=64,
    camera=("day", "normal"),
    held_out=(),
    events=(
        event(0.0, 3.4, "green", GREEN),  # frames 0 to 3
        event(3.4, 7.0, "yellow", YELLOW),  # frames 4 to 6: 7.0 belongs to the next event
        event(7.0, 12.0, "red", RED),  # frames 7 to 11
    ),
    otg=(GroundingRow(query="the light is yellow", intervals=((3.4, 7.0),)),),
    fdq=(StandingRow(question="Which?", answers=((0.0, "green"), (3.4, "yellow"), (7.0, "red"))),),
    coq=(),
    miq=(),
)


def watched(**said: Any) -> Watched:
    return Watched(**{"clip": CLIP, "num_frames": 12, "busy_s": 0.5} | said)


def scores(*said: tuple[int, str]) -> Scores:
    return score([watched(said=tuple(Said(*each) for each in said))])


def test_right_and_in_time() -> None:
    got = scores((0, GREEN), (4, YELLOW), (7, RED))
    assert (got.facts_right, got.facts_told, got.facts_recall, got.sem_cor, got.fluency) == (1,) * 5
    assert (got.tim_cover, got.tim_redun, got.tim_diff_s, got.tim_diff_cumulative_s) == (1, 0, 0, 0)


def test_a_miss_costs_an_events_length() -> None:
    got = scores((0, GREEN), (7, RED))
    assert (got.facts_right, got.facts_told) == (1, 1)
    assert (got.facts_recall, got.sem_cor) == (pytest.approx(4 / 6), pytest.approx(2 / 3))
    assert got.tim_cover == pytest.approx(2 / 3)
    assert got.tim_redun == pytest.approx(1 / 3)
    assert (got.tim_diff_s, got.tim_diff_cumulative_s) == (pytest.approx(3 / 3), pytest.approx(3 / 3))


def test_silence_says_nothing_right() -> None:
    got = scores()
    assert (got.facts_right, got.facts_told, got.fluency) == (None, None, None)
    assert (got.facts_recall, got.sem_cor) == (0, 0)
    assert (got.tim_cover, got.tim_redun) == (0, 1)
    assert got.tim_diff_s == got.tim_diff_cumulative_s == pytest.approx((4 + 3 + 5) / 3)


def test_of_two_outputs_the_first_counts() -> None:
    got = scores((0, GREEN), (4, YELLOW), (5, RED), (7, RED))
    assert (got.facts_right, got.tim_cover, got.tim_diff_s) == (1, 1, 0)
    assert got.tim_redun == pytest.approx(1 / 3)


def test_every_output_adds_to_the_cumulative_delay() -> None:
    got = scores((0, GREEN), (1, RED), (3, GREEN), (4, YELLOW), (8, RED), (9, GREEN))
    assert got.tim_diff_s == pytest.approx(1 / 3)
    assert got.tim_diff_cumulative_s == pytest.approx(((0 + 1 + 3) + 0 + (1 + 2)) / 3)
    assert got.sem_cor == 1


def test_lateness_is_counted_in_whole_seconds_from_the_first_frame() -> None:
    got = scores((0, GREEN), (6, YELLOW), (8, RED))
    assert (got.facts_right, got.tim_cover, got.tim_redun) == (1, 1, 0)
    assert got.tim_diff_s == pytest.approx((2 + 1) / 3)


def test_what_is_said_a_frame_too_late_is_said_of_the_next_event() -> None:
    got = scores((0, GREEN), (7, YELLOW))
    assert got.facts_right == pytest.approx(3 / 4)
    assert got.tim_cover == pytest.approx(2 / 3)


def test_a_wrong_fact() -> None:
    got = scores((0, GREEN), (4, RED), (7, RED))
    assert got.facts_right == got.facts_told == pytest.approx(5 / 6)


def test_a_fact_that_is_missing_is_not_wrong_but_not_told_either() -> None:
    got = scores((0, GREEN), (4, YELLOW), (7, "After that, the traffic light turns red while"))
    assert got.facts_right == 1
    assert got.facts_told == got.facts_recall == pytest.approx(5 / 6)
    assert got.sem_cor == pytest.approx((1 + 1 + 2 / 3) / 3)


def test_a_text_without_facts() -> None:
    got = scores((0, "something"), (4, ""), (7, "else"))
    assert (got.facts_right, got.facts_told, got.tim_cover) == (None, 0, 1)
    assert (got.sem_cor, got.fluency) == (0, 0)


@pytest.mark.parametrize(
    ("said", "fluency"),
    [
        ((GREEN, YELLOW, RED), 1),
        ((GREEN, GREEN, RED), 2 / 3),
        ((GREEN, YELLOW, GREEN), 1),
        ((GREEN, "Then, the traffic light turns yellow while the", RED), 2 / 3),
        ((GREEN, f"{YELLOW} {RED}", RED), 2 / 3),
        ((GREEN, "the the light", ""), 1 / 3),
    ],
)
def test_fluency_is_one_whole_sentence_that_was_not_just_said(said: tuple[str, ...], fluency: float) -> None:
    assert scores(*zip((0, 4, 7), said, strict=True)).fluency == pytest.approx(fluency)


def test_a_wrong_value_costs_precision_and_recall() -> None:
    """One of two stated facts is right, of two true ones."""
    assert scores((0, GREEN), (4, RED), (7, RED)).sem_cor == pytest.approx((1 + 1 / 2 + 1) / 3)


def test_the_held_answer_is_compared_at_every_frame() -> None:
    held = (*["Green."] * 5, *["YELLOW"] * 2, *["red"] * 5)  # yellow comes one frame late
    assert score([watched(held=(held,))]).fdq_exact == pytest.approx(11 / 12)


def test_answers_are_exact_but_for_case_and_punctuation() -> None:
    turn = TurnRow(time_s=2.1, question="Which?", answer="light blue")
    given = ("Light-blue.", "  light  blue ", "blue", "")
    answered = tuple(Answered(turn, text) for text in given)
    got = score([watched(coq=answered, miq=answered[:1])])
    assert (got.coq_exact, got.miq_exact) == (0.5, 1)


def test_grounding_overlap() -> None:
    nlls = [2.0] * 5 + [0.3] * 4 + [2.2] * 3  # found at 5 to 8, true at 4 to 6
    assert score([watched(query_nlls=(tuple(nlls),))]).otg_iou == pytest.approx(2 / 5)


@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_a_query_is_told_from_what_resembles_it_whatever_its_level(offset: float) -> None:
    nlls = [offset + nll for nll in (0.30, 0.34, 0.31, 1.1, 1.2, 1.0, 3.0, 5.0, 4.0, 2.5, math.inf, math.nan)]
    assert np.flatnonzero(find_query(nlls)).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("nlls", "found"), [([1.0] * 3, [0, 1, 2]), ([1.0], [0]), ([math.nan] * 2, []), ([], [])]
)
def test_a_query_with_one_level(nlls: list[float], found: list[int]) -> None:
    assert np.flatnonzero(find_query(nlls)).tolist() == found


def test_perplexity_is_the_mean_over_narrations() -> None:
    got = score([watched(forced=(Forced(0.0, 1.0), Forced(math.log(3), 0.5)))])
    assert (got.ppl, got.tok_acc) == (pytest.approx(2), 0.75)


def test_frames_per_second_and_what_was_not_done() -> None:
    got = score([watched(), watched(busy_s=1.5)])
    assert (got.frames_per_s, got.clips) == (12, 2)
    rest = {name for name, value in got.rounded().items() if value is None}
    assert len(rest) == 15


def test_every_event_counts_once_and_families_stand_apart() -> None:
    other = CLIP.model_copy(update={"family": "weather", "events": CLIP.events[:1]})
    good = watched(said=(Said(0, GREEN), Said(4, YELLOW), Said(7, RED)))
    silent = watched(clip=other, said=())
    got = report([good, silent])
    assert list(got) == ["overall", "families", "novelty"]
    overall, families = got["overall"], got["families"]
    assert isinstance(overall, dict)
    assert isinstance(families, dict)
    assert overall["tim_cover"] == 0.75
    assert {name: row["tim_cover"] for name, row in families.items()} == {"traffic": 1, "weather": 0}
