"""Did it speak at the right moment? OmniStar's online timing metrics, per video and as means over videos.

Source: OmniStar-RNG online evaluation, LiveStar (arXiv 2511.05299). The paper penalises every output of a
    segment by its time (`cumulative`); the published evaluation script counts the first one only
    (`first_match`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import fmean
from typing import Literal

from livestar.core.errors import BadAnnotation
from livestar.evaluation.omnistar import EventSegment, NarratedVideo, Predictions, TimedCaption

TimDiffMode = Literal["first_match", "cumulative"]


@dataclass(frozen=True, slots=True)
class TimingMeans:
    """Means over videos, each counting once: seconds late, |outputs - 1| a segment, share of segments met."""

    tim_diff_s: float
    tim_redun: float
    tim_cover: float


@dataclass(frozen=True, slots=True)
class VideoTiming:
    """Timing of one video.

    `match_counts` tells how many predictions fell into each segment. `pairs` holds per segment the ground
    truth and the earliest prediction in it, or an empty string: what the semantic metrics compare.
    """

    video_id: str
    tim_diff_s: float
    tim_redun: float
    tim_cover: float
    match_counts: tuple[int, ...]
    pairs: tuple[tuple[str, str], ...]


def score_video(
    truth: NarratedVideo, predictions: Sequence[TimedCaption], mode: TimDiffMode = "first_match"
) -> VideoTiming:
    """Scores the predictions of one video; they may come in any order, equal times keep theirs.

    TimDiff of a segment is its length in seconds when nothing was said in it, else the delay behind its
    start: of the first prediction, or of all together (`cumulative`). A missed first segment costs 0 s, for
    it is one second alone. TimRedun is | |M| - 1 | for |M| predictions in the segment, so that a miss adds
    1 as well; TimCover is 1 if |M| > 0.
    """
    ordered = sorted(predictions, key=attrgetter("time_s"))
    segments = truth.segments
    matches = [[p for p in ordered if s.start_s <= p.time_s <= s.end_s] for s in segments]
    return VideoTiming(
        video_id=truth.video_id,
        tim_diff_s=fmean(_tim_diff_s(s, m, mode) for s, m in zip(segments, matches, strict=True)),
        tim_redun=fmean(abs(len(m) - 1) for m in matches),
        tim_cover=fmean(bool(m) for m in matches),
        match_counts=tuple(len(m) for m in matches),
        pairs=tuple((s.caption, m[0].text if m else "") for s, m in zip(segments, matches, strict=True)),
    )


def score_videos(
    truths: Iterable[NarratedVideo], predictions: Iterable[Predictions], mode: TimDiffMode = "first_match"
) -> tuple[VideoTiming, ...]:
    """Scores a whole run, in the order of the ground truth.

    Raises:
        BadAnnotation: a video has ground truth or predictions only. A video over which nothing was said
            needs an empty line of predictions, so that a run that broke off is not taken for a silent one.
    """
    truth_by_id = {truth.video_id: truth for truth in truths}
    said_by_id = {said.video_id: said.captions for said in predictions}
    if unpaired := sorted(truth_by_id.keys() ^ said_by_id.keys()):
        raise BadAnnotation(
            "ground truth and predictions must cover the same videos: "
            f"{len(unpaired)} are only in one of them, {unpaired[0]} the first"
        )
    return tuple(score_video(truth, said_by_id[video_id], mode) for video_id, truth in truth_by_id.items())


def mean_timing(videos: Sequence[VideoTiming]) -> TimingMeans:
    """Averages over videos.

    Raises:
        ValueError: there is no video.
    """
    if not videos:
        raise ValueError("a mean over videos needs at least one video")
    return TimingMeans(
        tim_diff_s=fmean(video.tim_diff_s for video in videos),
        tim_redun=fmean(video.tim_redun for video in videos),
        tim_cover=fmean(video.tim_cover for video in videos),
    )


def _tim_diff_s(segment: EventSegment, matches: Sequence[TimedCaption], mode: TimDiffMode) -> int:
    if not matches:
        return segment.end_s - segment.start_s
    counted = matches[:1] if mode == "first_match" else matches
    return sum(match.time_s - segment.start_s for match in counted)
