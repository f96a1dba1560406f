"""How sure the differences of a comparison are: `python -m livestar.evaluation.baseline_spread REPORT`.

Reads what every method said on the test clips (`REPORT` with the suffix `.said.jsonl`), draws as many clips with replacement, the
same ones for all methods, and scores them again, 10,000 times. Prints for every score and method the middle 95 % of what comes
out, and for every difference to the reference as well.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestar.core.errors import InvalidInput, LiveStarError
from livestar.evaluation.synth_annotations import annotate
from livestar.evaluation.synthstar_events import told_events
from livestar.evaluation.synthstar_watched import Said, Watched
from livestar.synth import Split, make_clip

FIGURES = ("sem_cor", "tim_diff_s", "tim_redun", "tim_cover")
REFERENCE = "eos"
DRAWS = 10_000
Floats = NDArray[np.float64]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints JSON.

    Raises:
        InvalidInput: nothing was said, or the methods have not watched the same clips.
    """
    parser = ArgumentParser(prog="baseline_spread", description="Confidence intervals of a comparison.")
    parser.add_argument(
        "report", type=Path, help="report.json of baseline_eval; its .said.jsonl lies beside it"
    )
    options = parser.parse_args(arguments)
    seconds = float(json.loads(options.report.read_text(encoding="utf-8"))["seconds"])
    said = options.report.with_suffix(".said.jsonl")
    lines = [json.loads(line) for line in said.read_text(encoding="utf-8").splitlines()]
    sums = {
        method: np.array([sums_of(line["clip"], line["said"], seconds) for line in found])
        for method, found in _by_method(lines).items()
    }
    sys.stdout.write(json.dumps(spread(sums), indent=1) + "\n")


def sums_of(clip_id: str, said: Sequence[tuple[int, str]], seconds: float) -> list[float]:
    """Sums of `FIGURES` over the events of a test clip, and how many events there are."""
    family, _, seed = clip_id.rpartition("-")
    clip = annotate(make_clip(family, int(seed), seconds, Split.TEST), 1, 64)
    watched = Watched(clip, clip.num_frames, 0.0, said=tuple(Said(second, text) for second, text in said))
    events = told_events(watched)
    values = [(e.f1, e.first_delay_s, abs(e.outputs - 1), e.outputs > 0) for e in events]
    return [*np.sum(values, axis=0, dtype=float).tolist(), float(len(values))]


def spread(sums_CF: Mapping[str, Floats], draws: int = DRAWS) -> dict[str, object]:
    """Intervals by method and score.

    Args:
        sums_CF: of every method, a row a clip: sums of `FIGURES`, and the number of events.
        draws: how many times the clips are drawn.
    """
    num_clips = len(next(iter(sums_CF.values())))
    drawn_NC = np.random.default_rng(0).integers(num_clips, size=(draws, num_clips))
    scores_NF = {method: _means(sums, drawn_NC) for method, sums in sums_CF.items()}
    found: dict[str, object] = {"draws": draws, "clips": num_clips, "reference": REFERENCE}
    found["methods"] = {method: _intervals(scores) for method, scores in scores_NF.items()}
    if REFERENCE in scores_NF:
        found["minus_reference"] = {
            method: _intervals(scores - scores_NF[REFERENCE])
            for method, scores in scores_NF.items()
            if method != REFERENCE
        }
    return found


def _means(sums_CF: Floats, drawn_NC: NDArray[np.int64]) -> Floats:
    sums_NF = sums_CF[drawn_NC].sum(axis=1)
    means: Floats = sums_NF[:, :-1] / sums_NF[:, -1:]
    return means


def _intervals(scores_NF: Floats) -> dict[str, list[float]]:
    low_high = np.percentile(scores_NF, (2.5, 97.5), axis=0).round(4)
    return {figure: low_high[:, k].tolist() for k, figure in enumerate(FIGURES)}


def _by_method(lines: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The test clips of every method, in the same order."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        if line["split"] == "test":
            groups.setdefault(str(line["method"]), []).append(line)
    if not groups:
        raise InvalidInput("nothing was said on a test clip: let baseline_eval watch some.")
    for rows in groups.values():
        rows.sort(key=lambda line: str(line["clip"]))
    clips = {tuple(str(line["clip"]) for line in rows) for rows in groups.values()}
    if len(clips) > 1:
        raise InvalidInput("the methods have watched different clips: compare them with baseline_eval again.")
    return groups


if __name__ == "__main__":
    try:
        main()
    except LiveStarError as error:
        sys.exit(f"livestar: {error}")
