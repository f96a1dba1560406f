"""Scores over clips whose facts are known: were the right things said, at the right moments, and were questions answered?

Everything happens at whole seconds, those of the frames: an event begins at the first frame at or after its onset. Every
event, fact, frame, question and query counts once, whatever clip it is in.
Source of the timing metrics: OmniStar-RNG online evaluation, LiveStar (arXiv 2511.05299), first match. A missed event costs
its whole length here, one second more than there: silence is worse than a word at the last frame. The other scores are ours.
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

from livestar.evaluation.synth_annotations import EventRow, GroundingRow, StandingRow
from livestar.evaluation.synthstar_watched import Answered, Watched
from livestar.synth import parse_facts

_NO_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Scores:
    """Means; None where the clips hold nothing of the kind.

    Attributes:
        facts_right: share of narrated facts that are true of the event in which they were narrated.
        facts_told: share of the true facts that were narrated, over events in which something was said.
        tim_cover: share of events in which something was said.
        tim_redun: | outputs - 1 | an event.
        tim_diff_s: seconds from an event's first frame to the first output; its length when nothing was said.
        fdq_exact: share of frames at which the held answer of a standing question was the true one.
        coq_exact: share of true answers to chains of questions.
        miq_exact: share of true answers to parallel chains.
        otg_iou: mean overlap of the seconds that a query was found in with those in which it is true.
        ppl: mean perplexity of the true narrations under teacher forcing, see `synthstar_forced`.
        tok_acc: share of their tokens that were the likeliest one, mean over narrations.
        frames_per_s: frames over the seconds that seeing, watching and answering took, with all tasks that were done.
        clips: how many.
    """

    facts_right: float | None
    facts_told: float | None
    tim_cover: float | None
    tim_redun: float | None
    tim_diff_s: float | None
    fdq_exact: float | None
    coq_exact: float | None
    miq_exact: float | None
    otg_iou: float | None
    ppl: float | None
    tok_acc: float | None
    frames_per_s: float | None
    clips: int

    def rounded(self) -> dict[str, float | int | None]:
        """The scores by name, to four digits after the point."""
        return {name: round(value, 4) if value else value for name, value in asdict(self).items()}


def score(clips: Sequence[Watched]) -> Scores:
    """Scores clips together."""
    events = [told for clip in clips for told in _told(clip)]
    forced = [each for clip in clips for each in clip.forced]
    return Scores(
        facts_right=_ratio((told.right, told.stated) for told in events),
        facts_told=_ratio((told.right, told.true) for told in events if told.outputs),
        tim_cover=_mean(told.outputs > 0 for told in events),
        tim_redun=_mean(abs(told.outputs - 1) for told in events),
        tim_diff_s=_mean(told.delay_s for told in events),
        fdq_exact=_mean(exact for clip in clips for exact in _standing(clip)),
        coq_exact=_mean(_is_exact(answered) for clip in clips for answered in clip.coq),
        miq_exact=_mean(_is_exact(answered) for clip in clips for answered in clip.miq),
        otg_iou=_mean(iou for clip in clips for iou in _grounding(clip)),
        ppl=_mean(_perplexity(each.nll) for each in forced),
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


def report(clips: Sequence[Watched]) -> dict[str, object]:
    """Scores as JSON has them: `overall`, and `families` by name."""
    return {
        "overall": score(clips).rounded(),
        "families": {name: score(group).rounded() for name, group in by_family(clips).items()},
    }


@dataclass(frozen=True)
class _Told:
    """One event: how often something was said in it, how late, and how many facts were stated, right and true."""

    outputs: int
    delay_s: int
    stated: int = 0
    right: int = 0
    true: int = 0


def _told(watched: Watched) -> Iterator[_Told]:
    if watched.said is None:
        return
    for event in watched.clip.events:
        first, end = _frames(event.start_s, event.end_s)
        inside = [said for said in watched.said if first <= said.second < end]
        if not inside:
            yield _Told(outputs=0, delay_s=end - first)
            continue
        stated = parse_facts(watched.clip.family, inside[0].text)
        right = _count_right(event, stated)
        yield _Told(len(inside), inside[0].second - first, len(stated), right, len(event.facts))


def _count_right(event: EventRow, stated: dict[str, str]) -> int:
    return sum(event.facts.get(name) == value for name, value in stated.items())


def _standing(watched: Watched) -> Iterator[bool]:
    for row, held in zip(watched.clip.fdq, watched.held, strict=False):
        for second, answer in enumerate(held):
            yield _plain(answer) == _plain(_answer_at(row, second))


def _answer_at(row: StandingRow, second: int) -> str:
    times = [time_s for time_s, _ in row.answers]
    return row.answers[bisect_right(times, second) - 1][1]


def _grounding(watched: Watched) -> Iterator[float]:
    for row, nlls in zip(watched.clip.otg, watched.query_nlls, strict=False):
        yield overlap(find_query(nlls), _true_seconds(row, len(nlls)))


def _true_seconds(row: GroundingRow, num_frames: int) -> NDArray[np.bool_]:
    true = np.zeros(num_frames, dtype=bool)
    for start_s, end_s in row.intervals:
        true[slice(*_frames(start_s, end_s))] = True
    return true


def find_query(nlls: Sequence[float]) -> NDArray[np.bool_]:
    """The frames [F] at which a query holds: two levels of its likelihood, told apart where they differ most.

    The scale is the likelihood per token relative to the clip's best frame, exp(min NLL - NLL): a constant part of the NLL
    drops out, and all that is far from the query comes close together. The cut is the one between two sorted values that
    leaves the largest variance between the two groups (Otsu). It looks at the whole clip, as OmniStar's window search does.
    """
    nll_F = np.asarray(nlls, dtype=float)
    nll_F[~np.isfinite(nll_F)] = math.inf
    if not np.isfinite(nll_F).any():
        return np.zeros(len(nll_F), dtype=bool)
    likely_F = np.exp(nll_F.min() - nll_F)
    rising = np.sort(likely_F)
    below = np.arange(1, len(rising))
    sums = np.cumsum(rising)[:-1]
    gap = (rising.sum() - sums) / (len(rising) - below) - sums / below
    between = below * (len(rising) - below) * gap**2
    if not len(between) or between.max() <= 0:
        return np.ones(len(nll_F), dtype=bool)
    found_F: NDArray[np.bool_] = likely_F >= rising[int(between.argmax()) + 1]
    return found_F


def overlap(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Intersection over union of two sets of frames."""
    return float((found & true).sum() / max(1, (found | true).sum()))


def _frames(start_s: float, end_s: float) -> tuple[int, int]:
    """The first frame of an interval, and the first one after it."""
    return math.ceil(start_s), math.ceil(end_s)


def _is_exact(answered: Answered) -> bool:
    return _plain(answered.given) == _plain(answered.turn.answer)


def _plain(text: str) -> str:
    """Lower case, words only."""
    return _NO_WORD.sub(" ", text.lower()).strip()


def _perplexity(nll: float) -> float:
    return math.exp(min(nll, 700.0))


def _mean(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return fmean(numbers) if numbers else None


def _ratio(pairs: Iterable[tuple[float, float]]) -> float | None:
    rows = list(pairs)
    whole = math.fsum(b for _, b in rows)
    return math.fsum(a for a, _ in rows) / whole if whole else None
