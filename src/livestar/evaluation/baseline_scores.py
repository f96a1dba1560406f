"""What methods are compared by, the rule that calibrates them, and the margins between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from livestar.evaluation.synth_annotations import EventRow
from livestar.evaluation.synthstar_scores import by_family, score
from livestar.evaluation.synthstar_watched import Watched
from livestar.synth import parse_facts

Row = dict[str, float | int | None]
"""Scores of a set of clips by name."""

RULE = "largest sem_cor - 0.1 * tim_redun - 0.1 * tim_diff_s over all validation clips together; ties to the first tried"
SHOWN = ("facts_right", "sem_cor", "tim_diff_s", "tim_redun", "tim_cover", "clips")


def scores(clips: Sequence[Watched]) -> Row:
    """The scores that methods are compared by."""
    rounded = {"sem_cor": round(sem_cor(clips), 4)} | score(clips).rounded()
    return {name: rounded[name] for name in SHOWN}


def scores_by_family(clips: Sequence[Watched]) -> dict[str, Row]:
    """The same for every family."""
    return {name: scores(group) for name, group in by_family(clips).items()}


def objective(row: Mapping[str, float | int | None]) -> float:
    """What calibration maximises; see `RULE`."""
    correct, redundant, late_s = (row[name] or 0.0 for name in ("sem_cor", "tim_redun", "tim_diff_s"))
    return correct - 0.1 * redundant - 0.1 * late_s


def sem_cor(clips: Sequence[Watched]) -> float:
    """Mean over events of the F1 between the true facts and those of the first caption in the event; 0 where there is none."""
    found = [
        _event_f1(clip.clip.family, event, _first_inside(clip, event))
        for clip in clips
        for event in clip.clip.events
    ]
    return fmean(found) if found else 0.0


def margins(rows: Mapping[str, Row], ours: Sequence[str], reference: str) -> dict[str, object]:
    """How much better or worse each of our methods is, relative to the reference and to the best of all others.

    +0.2 in sem_cor is a fifth better; -0.2 in tim_diff_s a fifth sooner. The best other is chosen for each score.
    """
    others = [name for name in rows if name not in ours]
    found: dict[str, object] = {}
    for name in ours:
        if name not in rows:
            continue
        against = {
            f"against {reference}": [reference] if reference in rows else [],
            "against the best": others,
        }
        found[name] = {
            label: {
                figure: _margin(rows, name, rivals, figure, best)
                for figure, best in (("sem_cor", max), ("tim_diff_s", min))
            }
            for label, rivals in against.items()
            if rivals
        }
    return found


def _margin(
    rows: Mapping[str, Row], name: str, rivals: Sequence[str], figure: str, best: object
) -> dict[str, object]:
    def value(of: str) -> float:
        return float(rows[of][figure] or 0.0)

    rival = max(rivals, key=value) if best is max else min(rivals, key=value)
    base = value(rival)
    relative = round(value(name) / base - 1, 4) if base else None
    return {"rival": rival, "ours": value(name), "theirs": base, "relative": relative}


def _first_inside(clip: Watched, event: EventRow) -> str | None:
    first, end = math.ceil(event.start_s), math.ceil(event.end_s)
    return next((said.text for said in clip.said or () if first <= said.second < end), None)


def _event_f1(family: str, event: EventRow, text: str | None) -> float:
    if text is None:
        return 0.0
    stated = parse_facts(family, text)
    right = sum(event.facts.get(name) == value for name, value in stated.items())
    return 2 * right / max(1, len(stated) + len(event.facts))
