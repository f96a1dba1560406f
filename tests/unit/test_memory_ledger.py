from __future__ import annotations

import math

import pytest

from livestar.core.ids import FrameNumber
from livestar.memory import CaptionEntry, Forget, FrameEntry, Ledger, apply

pytestmark = pytest.mark.unit


def frame(number: int, clip: int = 1, num_tokens: int = 24, nll: float = 1.0) -> FrameEntry:
    return FrameEntry(FrameNumber(number), clip, nll, num_tokens, number * 10**9)


def test_num_tokens_counts_the_fixed_part_the_frames_and_the_captions() -> None:
    assert (
        Ledger((frame(1), frame(2, num_tokens=25)), (CaptionEntry(1, 40),), 93).num_tokens
        == 93 + 24 + 25 + 40
    )


@pytest.mark.parametrize("nll", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_worth_least(nll: float) -> None:
    assert frame(1, nll=nll).surprise == math.inf


@pytest.mark.parametrize(
    ("frames", "captions", "fixed_tokens"),
    [
        ((frame(2), frame(2)), (), 0),
        ((frame(1, clip=2), frame(2, clip=1)), (), 0),
        ((), (CaptionEntry(1, 5), CaptionEntry(1, 5)), 0),
        ((frame(1, num_tokens=-1),), (), 0),
        ((), (), -1),
    ],
)
def test_a_ledger_out_of_order_or_with_negative_counts_is_refused(
    frames: tuple[FrameEntry, ...], captions: tuple[CaptionEntry, ...], fixed_tokens: int
) -> None:
    with pytest.raises(ValueError, match="a ledger"):
        Ledger(frames, captions, fixed_tokens)


def test_apply_drops_what_the_plan_names_and_nothing_else() -> None:
    ledger = Ledger((frame(1), frame(2), frame(3, clip=2)), (CaptionEntry(1, 5), CaptionEntry(2, 6)), 7)
    forget = Forget(frozenset({FrameNumber(2), FrameNumber(99)}), frozenset({1}))
    assert apply(ledger, forget) == Ledger((frame(1), frame(3, clip=2)), (CaptionEntry(2, 6),), 7)


def test_plans_add_up_and_an_empty_one_is_false() -> None:
    frames, captions = frozenset({FrameNumber(1)}), frozenset({4})
    assert Forget(frames) | Forget(captions=captions) == Forget(frames, captions)
    assert Forget(frames)
    assert not Forget()
