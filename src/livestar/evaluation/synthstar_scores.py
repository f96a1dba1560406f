"""Scores over clips whose facts are known: were the right things said, at the right moments, and were questions answered?

Times are whole seconds, as in OmniStar: an event begins at the first frame at or after its onset. Source of the timing
metrics: OmniStar-RNG online evaluation, LiveStar (arXiv 2511.05299); the other scores are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from livestar.core.decision import Action, Decision
from livestar.evaluation.synth_annotations import EventRow
from livestar.evaluation.synthstar_watch import Answered, Watched
from livestar.synth import parse_facts


@dataclass(frozen=True)
class Scores:
    """Means over clips; None where the clips hold nothing of the kind.

    Attributes:
        facts_right: share of narrated facts that are true of the event they were narrated in.
        facts_told: share of true facts that were narrated, over events that were spoken to.
        tim_cover: share of events in which something was said.
        tim_redun: | outputs - 1 | an event.
        tim_diff_s: seconds from an event's first frame to the first output in it; its length when nothing was said.
        fdq_exact: share of frames at which a standing question's held answer was exact.
        coq_exact: share of exact answers to chains of questions.
        miq_exact: share of exact answers to parallel chains.
        otg_iou: mean overlap of the seconds at which a query's likelihood is high with its true intervals.
        ppl: exp of the mean reference NLL of what was said, its own perplexity.
        clips: how many clips.
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
    clips: int


def score(clips: Sequence[Watched]) -> Scores:
    """Scores clips together; every event, fact, frame and question counts once."""
    told = [row for watched in clips for row in _told(watched)]
    return Scores(
        facts_right=_share(row.right for row in told for _ in range(row.narrated)) if False else _ratio(told, "narrated"),
        facts_told=_ratio(told, "true"),
        tim_cover=_mean(bool(row.outputs) for row in told),
        tim_redun=_mean(abs(row.outputs - 1) for row in told),
        tim_diff_s=_mean(row.delay_s for row in told),
        fdq_exact=_mean(exact for watched in clips for exact in _standing(watched)),
        coq_exact=_mean(_exact(answered) for watched in clips for answered in watched.coq),
        miq_exact=_mean(_exact(answered) for watched in clips for answered in watched.miq),
        otg_iou=_mean(iou for watched in clips for iou in _grounding(watched)),
        ppl=_perplexity(decision for watched in clips for decision in watched.narration),
        clips=len(clips),
    )
