from __future__ import annotations

import pytest

from livestar.core.errors import BadAnnotation
from livestar.evaluation.omnistar import NarratedVideo, Predictions, TimedCaption
from livestar.evaluation.timing import TimDiffMode, TimingMeans, mean_timing, score_video, score_videos

pytestmark = pytest.mark.unit

# Segments: [0, 0], [1, 10], [11, 20].
TRUTH = NarratedVideo("videos/dog.mp4", (TimedCaption(0, "A"), TimedCaption(10, "B"), TimedCaption(20, "C")))


def said(*times_s: int) -> tuple[TimedCaption, ...]:
    return tuple(TimedCaption(t, f"at {t}") for t in times_s)


@pytest.mark.parametrize(
    ("times_s", "first_match_s", "cumulative_s", "redun", "cover", "counts"),
    [
        ((), [0, 9, 9], [0, 9, 9], [1, 1, 1], 0, (0, 0, 0)),
        ((0, 1, 11), [0, 0, 0], [0, 0, 0], [0, 0, 0], 3, (1, 1, 1)),
        ((0, 10, 20), [0, 9, 9], [0, 9, 9], [0, 0, 0], 3, (1, 1, 1)),
        ((4,), [0, 3, 9], [0, 3, 9], [1, 0, 1], 1, (0, 1, 0)),
        ((12, 2, 5, 10), [0, 1, 1], [0, 1 + 4 + 9, 1], [1, 2, 0], 2, (0, 3, 1)),
        ((0, 0, 0), [0, 9, 9], [0, 9, 9], [2, 1, 1], 1, (3, 0, 0)),
        ((21, 99), [0, 9, 9], [0, 9, 9], [1, 1, 1], 0, (0, 0, 0)),
    ],
    ids=[
        "silent",
        "on time",
        "last second",
        "single",
        "several in one",
        "only the first, thrice",
        "too late",
    ],
)
def test_hand_made_cases_in_both_modes(
    times_s: tuple[int, ...],
    first_match_s: list[int],
    cumulative_s: list[int],
    redun: list[int],
    cover: int,
    counts: tuple[int, ...],
) -> None:
    modes: list[tuple[TimDiffMode, list[int]]] = [
        ("first_match", first_match_s),
        ("cumulative", cumulative_s),
    ]
    for mode, expected_s in modes:
        timing = score_video(TRUTH, said(*times_s), mode)
        assert timing.tim_diff_s == pytest.approx(sum(expected_s) / 3)
        assert timing.tim_redun == pytest.approx(sum(redun) / 3)
        assert timing.tim_cover == pytest.approx(cover / 3)
        assert timing.match_counts == counts


def test_a_first_segment_that_ends_late_is_still_one_second_long() -> None:
    truth = NarratedVideo("late.mp4", (TimedCaption(5, "A"), TimedCaption(9, "B")))
    assert score_video(truth, said(0, 4)).match_counts == (0, 0)
    assert score_video(truth, said(5, 6)).match_counts == (1, 1)
    assert score_video(truth, ()).tim_diff_s == (0 + 3) / 2


def test_pairs_take_the_earliest_prediction_and_ties_the_first_in_the_file() -> None:
    captions = (TimedCaption(7, "late"), TimedCaption(3, "this"), TimedCaption(3, "next"))
    assert score_video(TRUTH, captions).pairs == (("A", ""), ("B", "this"), ("C", ""))


def test_every_video_counts_once_in_the_mean() -> None:
    short = NarratedVideo("short.mp4", (TimedCaption(0, "A"),))
    runs = score_videos([TRUTH, short], [Predictions("short", said(0)), Predictions("dog", ())])
    assert [run.video_id for run in runs] == ["dog", "short"]
    assert mean_timing(runs) == TimingMeans(tim_diff_s=3.0, tim_redun=0.5, tim_cover=0.5)
    with pytest.raises(ValueError, match="at least one video"):
        mean_timing(())


@pytest.mark.parametrize("video_ids", [(), ("dog", "cat")], ids=["missing", "unknown"])
def test_predictions_must_cover_the_same_videos(video_ids: tuple[str, ...]) -> None:
    with pytest.raises(BadAnnotation, match=r"1 are only in one of them, (dog|cat)"):
        score_videos([TRUTH], [Predictions(video_id, ()) for video_id in video_ids])
