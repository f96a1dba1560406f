from __future__ import annotations

import pytest

from livestar.core.ids import FrameNumber
from livestar.memory import CaptionEntry, Forget, FrameEntry, Ledger, Recent

pytestmark = pytest.mark.unit


def ledger(num_frames: int, *, captions: int = 0) -> Ledger:
    frames = (FrameEntry(FrameNumber(n), n, 1.0, 28, n) for n in range(1, num_frames + 1))
    return Ledger(tuple(frames), tuple(CaptionEntry(n, 9) for n in range(captions)), fixed_tokens=30)


@pytest.mark.parametrize(
    ("held", "forgotten"), [(0, set()), (2, set()), (3, set()), (4, {1}), (6, {1, 2, 3})]
)
def test_with_the_frame_that_comes_there_are_four(held: int, forgotten: set[int]) -> None:
    assert Recent(4).plan(ledger(held)) == Forget(frozenset(map(FrameNumber, forgotten)))


def test_a_window_of_one_frame_forgets_everything_before_it() -> None:
    assert Recent(1).plan(ledger(2)).frames == {1, 2}


def test_captions_go() -> None:
    assert Recent(4).plan(ledger(1, captions=2)).captions == {0, 1}


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(ValueError, match="num_frames"):
        Recent(0)
