from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livestar.core.ids import FrameNumber
from livestar.memory import (
    BoundedMemory,
    CaptionEntry,
    Fifo,
    Forget,
    FrameEntry,
    KeepEverything,
    Ledger,
    RandomDrop,
    TokenBudget,
    Uniform,
    apply,
)

pytestmark = pytest.mark.unit

SCORES = st.one_of(st.floats(0, 5), st.sampled_from([1.0, 2.0, math.nan, math.inf, -math.inf, 1e308]))
POLICIES: tuple[type[BoundedMemory], ...] = (TokenBudget, Fifo, Uniform, RandomDrop)


def stream(
    clips: Sequence[Sequence[float]], *, caption_tokens: int = 0, fps: float = 1, fixed: int = 93
) -> Ledger:
    """Clips 1, 2, … with the given scores, captions for all but the last; 25 tokens from frame 1000 on."""
    scored = [(clip, nll) for clip, scores in enumerate(clips, start=1) for nll in scores]
    frames = tuple(
        FrameEntry(FrameNumber(n), clip, nll, 24 if n < 1000 else 25, round(n / fps * 1e9))
        for n, (clip, nll) in enumerate(scored, start=1)
    )
    captions = range(1, len(clips)) if caption_tokens else ()
    return Ledger(frames, tuple(CaptionEntry(clip, caption_tokens) for clip in captions), fixed)


def numbers(ledger: Ledger) -> list[int]:
    return [frame.number for frame in ledger.frames]


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    entries = draw(
        st.lists(st.tuples(st.booleans(), SCORES, st.integers(0, 30), st.integers(-2, 5)), max_size=120)
    )
    frames: list[FrameEntry] = []
    clip, pts_s = 0, 0
    for number, (starts_clip, nll, num_tokens, step_s) in enumerate(entries, start=1):
        clip, pts_s = clip + starts_clip, pts_s + step_s
        frames.append(FrameEntry(FrameNumber(number), clip, nll, num_tokens, pts_s * 10**9))
    captions = draw(st.dictionaries(st.integers(0, 130), st.integers(0, 80), max_size=20))
    return Ledger(
        tuple(frames),
        tuple(CaptionEntry(clip, n) for clip, n in sorted(captions.items())),
        draw(st.integers(0, 60)),
    )


@settings(max_examples=300, deadline=None)
@given(
    ledger=ledgers(),
    policy_type=st.sampled_from(POLICIES),
    max_trunk_tokens=st.integers(100, 1500),
    reserve_tokens=st.integers(0, 9),
    low_water=st.floats(0.01, 1),
)
def test_after_any_plan_the_trunk_is_within_its_limit(
    ledger: Ledger,
    policy_type: type[BoundedMemory],
    max_trunk_tokens: int,
    reserve_tokens: int,
    low_water: float,
) -> None:
    policy = policy_type(
        max_trunk_tokens=max_trunk_tokens, reserve_tokens=reserve_tokens, low_water=low_water
    )
    forget = policy.plan(ledger)
    kept = apply(ledger, forget)
    assert kept.num_tokens <= max_trunk_tokens - reserve_tokens
    assert kept.frames[-1:] == ledger.frames[-1:]
    assert bool(forget) == (ledger.num_tokens > policy.limit_tokens)
    assert forget.frames <= {frame.number for frame in ledger.frames}
    assert forget.captions <= {caption.clip for caption in ledger.captions}
    assert policy.plan(ledger) == forget
    assert not policy.plan(kept)


@settings(max_examples=200, deadline=None)
@given(ledger=ledgers(), max_trunk_tokens=st.integers(100, 1500))
def test_recent_frames_go_only_when_all_else_is_gone(ledger: Ledger, max_trunk_tokens: int) -> None:
    policy = TokenBudget(max_trunk_tokens=max_trunk_tokens, protect_s=10)
    forget = policy.plan(ledger)
    recent = {f.number for f in ledger.frames if f.pts_ns > ledger.frames[-1].pts_ns - 10 * 10**9}
    if forget.frames & recent:
        kept = apply(ledger, forget)
        assert not kept.captions
        assert set(numbers(kept)) <= recent | {ledger.frames[-1].number}


@pytest.mark.parametrize("policy_type", POLICIES)
@pytest.mark.parametrize(
    "ledger",
    [
        stream([[1.0] * 10_000]),
        stream([[float(n % 97) for n in range(10_000)]]),
        stream([[1.0]] * 10_000, caption_tokens=61),
        stream([[math.nan] * 5] * 2_000, caption_tokens=61),
    ],
    ids=["one giant clip of ties", "one giant clip", "10,000 one-frame clips", "no usable score"],
)
@pytest.mark.timeout(20)
def test_extreme_streams_end_within_the_limit(policy_type: type[BoundedMemory], ledger: Ledger) -> None:
    kept = apply(ledger, policy_type().plan(ledger))
    assert kept.num_tokens <= 6000
    assert kept.num_tokens > 4200 - 61  # a plan stops as soon as it is at the low-water mark
    assert kept.frames[-1].number == 10_000


class TestTokenBudget:
    def test_nothing_happens_up_to_the_limit(self) -> None:
        ledger = stream([[1.0] * 10], fixed=0)
        assert TokenBudget(max_trunk_tokens=240).plan(ledger) == Forget()
        assert TokenBudget(max_trunk_tokens=240, reserve_tokens=1).plan(ledger)

    def test_the_oldest_event_is_thinned_to_its_median_first(self) -> None:
        ledger = stream([[4.0, 1.0, 3.0, 2.0], [1.0, 2.0, 3.0, 4.0], [9.0] * 2], caption_tokens=10)
        budget = TokenBudget(max_trunk_tokens=ledger.num_tokens - 1, low_water=0.82, protect_s=2)
        assert numbers(apply(ledger, budget.plan(ledger))) == [2, 4, 5, 6, 7, 9, 10]

    def test_rounds_repeat_while_they_help_and_every_event_keeps_its_peak(self) -> None:
        ledger = stream([[4.0, 1.0, 3.0, 2.0], [1.0, 2.0, 3.0, 4.0], [9.0] * 2], caption_tokens=10, fixed=0)
        budget = TokenBudget(max_trunk_tokens=200, low_water=0.6, protect_s=2)
        kept = apply(ledger, budget.plan(ledger))
        assert numbers(kept) == [2, 5, 9, 10]
        assert len(kept.captions) == 2

    def test_then_the_oldest_events_are_left_with_their_caption_and_then_without(self) -> None:
        ledger = stream([[1.0], [1.0], [1.0], [1.0]], caption_tokens=10, fixed=0)
        frames_gone = apply(ledger, TokenBudget(max_trunk_tokens=80, low_water=1, protect_s=1).plan(ledger))
        assert (numbers(frames_gone), len(frames_gone.captions)) == ([3, 4], 3)
        captions_gone = apply(ledger, TokenBudget(max_trunk_tokens=46, low_water=1, protect_s=1).plan(ledger))
        assert (numbers(captions_gone), [c.clip for c in captions_gone.captions]) == ([4], [2, 3])

    def test_protected_frames_go_last_and_only_down_to_the_limit(self) -> None:
        ledger = stream([[1.0], [5.0, 1.0, 1.0, 1.0]], caption_tokens=10, fixed=0)
        kept = apply(ledger, TokenBudget(max_trunk_tokens=80, low_water=0.3, protect_s=60).plan(ledger))
        assert (numbers(kept), kept.captions) == ([3, 4, 5], ())

    def test_the_first_frame_of_an_event_is_not_punished_for_the_scene_change(self) -> None:
        # It carries its own caption's reference, which is low.
        ledger = stream([[0.5, 0.7, 0.9, 1.1], [0.4]], fixed=0)
        kept = apply(ledger, TokenBudget(max_trunk_tokens=100, low_water=1, protect_s=1).plan(ledger))
        assert 1 in numbers(kept)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"max_trunk_tokens": 0},
            {"reserve_tokens": 6000},
            {"reserve_tokens": -1},
            {"low_water": 0},
            {"low_water": 1.1},
            {"protect_s": -1},
            {"protect_s": math.inf},
        ],
    )
    def test_settings_that_cannot_work_are_refused(self, wrong: dict[str, float]) -> None:
        with pytest.raises(ValueError, match=r"tokens leave none|low_water|protect_s"):
            TokenBudget(**wrong)  # type: ignore[arg-type]

    def test_a_budget_below_the_fixed_part_and_one_frame_is_refused(self) -> None:
        with pytest.raises(ValueError, match="take 117 tokens, but the trunk may hold 116"):
            TokenBudget(max_trunk_tokens=116).plan(stream([[1.0]]))
        with pytest.raises(ValueError, match="raise max_trunk_tokens"):
            TokenBudget(max_trunk_tokens=90).plan(stream([]))


class TestBaselines:
    LEDGER = stream([[2.0] * 8, [1.0] * 8], fixed=0)

    def keep(self, policy: BoundedMemory) -> list[int]:
        return numbers(apply(self.LEDGER, policy.plan(self.LEDGER)))

    def test_fifo_keeps_the_latest(self) -> None:
        assert self.keep(Fifo(max_trunk_tokens=192, low_water=0.5)) == [13, 14, 15, 16]

    def test_uniform_keeps_evenly_spaced_frames(self) -> None:
        assert self.keep(Uniform(max_trunk_tokens=216, low_water=1)) == [1, 3, 5, 7, 9, 11, 13, 15, 16]
        assert self.keep(Uniform(max_trunk_tokens=120, low_water=1)) == [1, 5, 9, 13, 16]

    def test_uniform_stays_even_over_a_long_stream(self) -> None:
        policy, ledger = Uniform(max_trunk_tokens=1200), Ledger((), (), 0)
        for n in range(1, 2001):
            ledger = Ledger((*ledger.frames, FrameEntry(FrameNumber(n), 1, 1.0, 24, n * 10**9)), (), 0)
            ledger = apply(ledger, policy.plan(ledger))
        held = numbers(ledger)
        assert all(sum(low < n <= low + 500 for n in held) >= 5 for low in (0, 500, 1000, 1500))

    def test_random_drop_keeps_one_sample_however_often_it_is_asked(self) -> None:
        at_once = self.keep(RandomDrop(max_trunk_tokens=120, low_water=1, seed=3))
        assert len(at_once) == 5
        partly = RandomDrop(max_trunk_tokens=240, low_water=1, seed=3).plan(self.LEDGER)
        assert set(at_once) <= set(numbers(apply(self.LEDGER, partly)))
        assert at_once != self.keep(RandomDrop(max_trunk_tokens=120, low_water=1, seed=4))

    def test_keep_everything_forgets_nothing(self) -> None:
        assert KeepEverything().plan(self.LEDGER) == Forget()
