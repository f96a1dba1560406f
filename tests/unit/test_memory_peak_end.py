from __future__ import annotations

import math

import pytest

from livestar.core.ids import FrameNumber
from livestar.memory import (
    CaptionEntry,
    Forget,
    FrameEntry,
    Ledger,
    ProbabilisticPeakEnd,
    PublishedPeakEnd,
    apply,
)
from livestar.memory.dice import throw

pytestmark = pytest.mark.unit


def ledger(*clips: list[float], first: int = 1) -> Ledger:
    """Clips 1, 2, … with the given scores, one frame a second."""
    scored = [(clip, nll) for clip, scores in enumerate(clips, start=1) for nll in scores]
    frames = tuple(
        FrameEntry(FrameNumber(number), clip, nll, 24, number * 10**9)
        for number, (clip, nll) in enumerate(scored, start=first)
    )
    return Ledger(frames, tuple(CaptionEntry(clip, 50) for clip in range(1, len(clips))), 93)


def numbers(kept: Ledger) -> list[int]:
    return [frame.number for frame in kept.frames]


class TestPublished:
    def test_nothing_happens_up_to_24_frames(self) -> None:
        assert PublishedPeakEnd().plan(ledger([1.0] * 24)) == Forget()
        assert PublishedPeakEnd().plan(ledger([1.0] * 25))

    def test_every_event_keeps_its_better_half_and_ties_keep_the_earlier_frame(self) -> None:
        before = ledger([4.0, 2.0, 2.0, 3.0, 2.0], [9.0], [1.0, 1.0])
        kept = apply(before, PublishedPeakEnd(trigger_frames=7).plan(before))
        assert numbers(kept) == [2, 3, 5, 6, 7]
        assert kept.captions == before.captions

    def test_scores_that_are_not_finite_go_first(self) -> None:
        before = ledger([math.nan, 5.0, -math.inf, 800.0])
        assert numbers(apply(before, PublishedPeakEnd(trigger_frames=0).plan(before))) == [2, 4]


class TestProbabilistic:
    def test_the_window_the_captions_and_the_peak_of_every_event_are_safe(self) -> None:
        before = ledger([3.0, 1.0, 2.0], [math.nan] * 30, [1.0] * 40)
        kept = apply(before, ProbabilisticPeakEnd(strength=1e9).plan(before))
        assert numbers(kept) == [2, 4, *range(33, 74)]
        assert kept.captions == before.captions

    def test_equal_ledgers_get_equal_plans_and_seeds_differ(self) -> None:
        before = ledger([1.0] * 200)
        policy = ProbabilisticPeakEnd(strength=0.5, seed=7)
        plan = policy.plan(before)
        policy.plan(ledger([2.0] * 90))
        assert policy.plan(before) == plan == ProbabilisticPeakEnd(strength=0.5, seed=7).plan(before)
        assert plan != ProbabilisticPeakEnd(strength=0.5, seed=8).plan(before)

    def test_frequencies_follow_relative_perplexity_times_age(self) -> None:
        # Frame 2 has half the perplexity of frame 3, frame 51 half the age; frame 101 is the newest.
        before = ledger([0.0, 1.0, 1.0 + math.log(2)], [0.0] * 98)
        gone = [ProbabilisticPeakEnd(strength=0.8, seed=seed).plan(before).frames for seed in range(4000)]
        assert sum(2 in frames for frames in gone) / 4000 == pytest.approx(0.8 * 0.5 * 0.99, abs=0.03)
        assert sum(3 in frames for frames in gone) / 4000 == pytest.approx(0.8 * 1.0 * 0.98, abs=0.03)
        assert sum(51 in frames for frames in gone) / 4000 == pytest.approx(0.8 * 1.0 * 0.50, abs=0.03)

    def test_perplexities_that_would_overflow_are_compared_by_their_ratio(self) -> None:
        before = ledger([5000.0, 5001.0, 9000.0], [1.0] * 60)
        gone = ProbabilisticPeakEnd(strength=1e6).plan(before).frames
        assert 3 in gone
        assert not {1, 2} & gone  # e**-3999 of the worst

    def test_an_empty_or_short_ledger_is_left_alone(self) -> None:
        assert not ProbabilisticPeakEnd().plan(ledger())
        assert not ProbabilisticPeakEnd(window_frames=0, strength=9).plan(ledger([1.0]))

    @pytest.mark.parametrize("wrong", [{"window_frames": -1}, {"strength": -0.1}, {"strength": math.nan}])
    def test_settings_that_cannot_work_are_refused(self, wrong: dict[str, float]) -> None:
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ProbabilisticPeakEnd(**wrong)  # type: ignore[arg-type]


def test_dice_are_fair_and_never_change() -> None:
    throws = [throw(0, number, 7) for number in range(10_000)]
    assert all(0 <= value < 1 for value in throws)
    assert sum(throws) / 10_000 == pytest.approx(0.5, abs=0.01)
    assert throw(1, 2, 3) == throw(1, 2, 3) != throw(1, 23)
