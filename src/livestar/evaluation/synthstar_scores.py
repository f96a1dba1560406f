"""Scores over clips whose facts are known: were the right things said, at the right moments, and were questions answered?

Everything happens at whole seconds, those of the frames: an event begins at the first frame at or after its onset. Every
event, fact, frame, question and query counts once, whatever clip it is in.
Source of the timing metrics: OmniStar-RNG online evaluation, LiveStar (arXiv 2511.05299), first match and cumulative. A missed
event costs its whole length here, one second more than there: silence is worse than a word at the last frame. The other
scores are ours.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from livestar.evaluation.grounding import find_query, overlap
from livestar.evaluation.synth_annotations import GroundingRow, StandingRow
from livestar.evaluation.synthstar_events import fluent, frame_span, told_events
from livestar.evaluation.synthstar_watched import Answered, Watched

_NO_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Scores:
    """Means; None where the clips hold nothing of the kind.

    Attributes:
        facts_right: share of narrated facts that are true of the event in which they were narrated.
        facts_told: share of the true facts that were narrated, over events in which something was said.
        facts_recall: the same over all events.
        sem_cor: agreement (F1) of the facts that an event's first caption states with the true ones, mean over all events; an
            event in which nothing was said counts 0.
        fluency: share of captions that are one whole sentence and differ from the caption before.
        tim_cover: share of events in which something was said.
        tim_redun: | outputs - 1 | an event.
        tim_diff_s: seconds from an event's first frame to the first output; its length when nothing was said.
        tim_diff_cumulative_s: the same, but the seconds to all outputs of the event together.
        fdq_exact: share of frames at which the held answer of a standing question was the true one.
        coq_exact: share of true answers to chains of questions.
        miq_exact: share of true answers to parallel chains.
        otg_iou: mean overlap of the seconds that a query was found in with those in which it is true.
        ppl: mean perplexity of the true narrations under teacher forcing, see `synthstar_forced`.
        tok_acc: share of their tokens that were the likeliest one, mean over narrations.
        frames_per_s: frames over the seconds that seeing, watching and answering took, with all tasks that were done.
        clips: how many.
    """

    facts_right: float | None = None
    facts_told: float | None = None
    facts_recall: float | None = None
    sem_cor: float | None = None
    fluency: float | None = None
    tim_cover: float | None = None
    tim_redun: float | None = None
    tim_diff_s: float | None = None
    tim_diff_cumulative_s: float | None = None
    fdq_exact: float | None = None
    coq_exact: float | None = None
    miq_exact: float | None = None
    otg_iou: float | None = None
    ppl: float | None = None
    tok_acc: float | None = None
    frames_per_s: float | None = None
    clips: int = 0

    def rounded(self) -> dict[str, float | int | None]:
        """The scores by name, to four digits after the point."""
        return {name: round(value, 4) if value else value for name, value in asdict(self).items()}


def score(clips: Sequence[Watched]) -> Scores:
    """Scores clips together."""
    events = [told for clip in clips for told in told_events(clip)]
    forced = [each for clip in clips for each in clip.forced]
    return Scores(
        facts_right=_ratio((told.right, told.stated) for told in events),
        facts_told=_ratio((told.right, told.true) for told in events if told.outputs),
        facts_recall=_ratio((told.right, told.true) for told in events),
        sem_cor=_mean(told.f1 for told in events),
        fluency=_mean(is_fluent for clip in clips for is_fluent in fluent(clip.clip.family, clip.said or ())),
        tim_cover=_mean(told.outputs > 0 for told in events),
        tim_redun=_mean(abs(told.outputs - 1) for told in events),
        tim_diff_s=_mean(told.first_delay_s for told in events),
        tim_diff_cumulative_s=_mean(told.cumulative_delay_s for told in events),
        fdq_exact=_mean(exact for clip in clips for exact in _standing(clip)),
        coq_exact=_mean(_is_exact(answered) for clip in clips for answered in clip.coq),
        miq_exact=_mean(_is_exact(answered) for clip in clips for answered in clip.miq),
        otg_iou=_mean(iou for clip in clips for iou in _grounding(clip)),
        ppl=_mean(each.perplexity for each in forced),
        tok_acc=_mean(each.right for each in forced),
        frames_per_s=_ratio((clip.num_frames, clip.busy_s) for clip in clips),
        clips=len(clips),
    )


def by_family(clips: Iterable[Watched]) -> dict[str, list[Watched]]:
    """Clips by the name of their family, in order of first appearance."""
    groups: dict[str, list[Watched]] = {}
    for clip in clips:
        groups.setdefault(clip.clip.family, []).append(clip)
    return groups


def by_novelty(clips: Iterable[Watched]) -> dict[str, list[Watched]]:
    """Clips by what training never saw in them beside the seed: nothing, the composition, the camera, or both."""
    groups: dict[str, list[Watched]] = {}
    for clip in clips:
        groups.setdefault("+".join(clip.clip.held_out) or "seed", []).append(clip)
    return dict(sorted(groups.items()))


def report(clips: Sequence[Watched]) -> dict[str, object]:
    """Scores as JSON has them: `overall`, `families` by name, and `novelty` by what is new in a clip."""
    return {
        "overall": score(clips).rounded(),
        "families": {name: score(group).rounded() for name, group in by_family(clips).items()},
        "novelty": {name: score(group).rounded() for name, group in by_novelty(clips).items()},
    }


def _standing(watched: Watched) -> Iterator[bool]:
    for row, held in zip(watched.clip.fdq, watched.held, strict=False):
        for second, answer in enumerate(held):
            yield _plain(answer) == _plain(_answer_at(row, second))


def _answer_at(row: StandingRow, second: int) -> str:
    times = [time_s for time_s, _ in row.answers]
    return row.answers[bisect_right(times, second) - 1][1]


def _grounding(watched: Watched) -> Iterator[float]:
    for row, nlls in zip(watched.clip.otg, watched.query_nlls, strict=False):
        yield overlap(find_query(nlls, watched.query_below), _true_seconds(row, len(nlls)))


def _true_seconds(row: GroundingRow, num_frames: int) -> NDArray[np.bool_]:
    true = np.zeros(num_frames, dtype=bool)
    for start_s, end_s in row.intervals:
        true[slice(*frame_span(start_s, end_s))] = True
    return true


def _is_exact(answered: Answered) -> bool:
    return _plain(answered.given) == _plain(answered.turn.answer)


def _plain(text: str) -> str:
    """Lower case, words only."""
    return _NO_WORD.sub(" ", text.lower()).strip()


def _mean(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return fmean(numbers) if numbers else None


def _ratio(pairs: Iterable[tuple[float, float]]) -> float | None:
    rows = list(pairs)
    whole = math.fsum(b for _, b in rows)
    return math.fsum(a for a, _ in rows) / whole if whole else None
