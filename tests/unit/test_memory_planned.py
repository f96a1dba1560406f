from __future__ import annotations

from dataclasses import replace

import pytest

from livestar.core.ids import FrameNumber
from livestar.memory import CaptionEntry, Forget, FrameEntry, Ledger, PlannedElsewhere, PublishedPeakEnd

pytestmark = pytest.mark.unit

ELSEWHERE = Forget(captions=frozenset({1}))


def ledger(num_frames: int = 4) -> Ledger:
    frames = tuple(FrameEntry(FrameNumber(n), 1, n / 7, 29, n * 10**9) for n in range(1, num_frames + 1))
    return Ledger(frames, (CaptionEntry(1, 40),), 93)


def test_a_plan_for_this_ledger_is_used() -> None:
    policy = PlannedElsewhere(PublishedPeakEnd(2))
    policy.offer(ledger().version, ELSEWHERE)
    assert [policy.plan(ledger()) for _ in range(2)] == [ELSEWHERE, ELSEWHERE]


@pytest.mark.parametrize("num_frames", [3, 5])
def test_a_plan_for_another_ledger_is_not(num_frames: int) -> None:
    policy = PlannedElsewhere(PublishedPeakEnd(2))
    policy.offer(ledger(num_frames).version, ELSEWHERE)
    assert policy.plan(ledger()) == PublishedPeakEnd(2).plan(ledger()) != ELSEWHERE


def test_without_an_offer_it_plans_itself() -> None:
    assert PlannedElsewhere(PublishedPeakEnd(2)).plan(ledger()) == PublishedPeakEnd(2).plan(ledger())


def test_only_the_last_offer_is_held() -> None:
    policy = PlannedElsewhere(PublishedPeakEnd(2))
    policy.offer(ledger().version, ELSEWHERE)
    policy.offer(ledger(5).version, Forget())
    assert policy.plan(ledger()) == PublishedPeakEnd(2).plan(ledger())
    assert policy.plan(ledger(5)) == Forget()


@pytest.mark.parametrize(
    "change",
    [
        {"number": FrameNumber(9)},
        {"clip": 2},
        {"nll": 0.1 + 0.2},
        {"nll": float("nan")},
        {"num_tokens": 30},
        {"pts_ns": 5},
    ],
)
def test_every_field_of_the_newest_frame_makes_another_version(change: dict[str, float]) -> None:
    whole = ledger()
    other = replace(whole, frames=(*whole.frames[:-1], replace(whole.frames[-1], **change)))
    assert other.version != whole.version == ledger().version


def test_captions_and_the_fixed_part_make_another_version() -> None:
    versions = {
        ledger().version,
        replace(ledger(), fixed_tokens=94).version,
        replace(ledger(), captions=()).version,
        replace(ledger(), captions=(CaptionEntry(1, 41),)).version,
    }
    assert len(versions) == 4


def test_scores_that_are_no_numbers_have_one_version() -> None:
    def scored(nll: float) -> str:
        return Ledger((FrameEntry(FrameNumber(1), 1, nll, 29, 0),), (), 0).version

    assert scored(float("nan")) == scored(-float("nan"))
    assert scored(float("nan")) != scored(float("inf"))
