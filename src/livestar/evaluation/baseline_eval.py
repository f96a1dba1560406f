"""Scores the methods of a comparison (`livestar.training.compare`): `python -m livestar.evaluation.baseline_eval --help`.

Each method has one number: alpha of the gate, or the likelihood of silence below which it speaks. It is chosen on validation
clips by one rule for all, and the test clips are watched with it. Every clip is drawn and encoded once, for all methods look
through the same eyes. No video file is written or read.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from livestar.core.errors import CheckpointError, LiveStarError
from livestar.evaluation.baseline_jobs import Job, Look, Watch, processes, run_all
from livestar.evaluation.baseline_plot import plot
from livestar.evaluation.baseline_scores import RULE, Row, margins, objective, scores, scores_by_family
from livestar.evaluation.baseline_serving import Serving, servings
from livestar.evaluation.synthstar_watched import Watched
from livestar.synth import Split, families
from livestar.training.compare import METHOD_FILE
from livestar.training.methods import METHODS

OURS = ("scam-paper", "scam-released", "scam-jitter")
REFERENCE = "eos"
CALIBRATION_SHARE = 0.7
"""Of the time that is left after encoding, for validation clips."""

Seen = dict[Job[Watched], Watched]


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the report, and prints it in short.

    Raises:
        CheckpointError: the run holds no method.
    """
    options = _options(arguments)
    ends_s = time.monotonic() + 60 * options.minutes
    methods = _methods(options)
    with TemporaryDirectory() as folder, processes(options.processes) as pool:
        looks = {
            split: [
                Look(options.run / methods[0], Path(folder), split, family, seed, options.seconds)
                for seed, family in product(seeds, options.families)
            ]
            for split, seeds in ((Split.VAL, options.val_seeds), (Split.TEST, options.test_seeds))
        }
        run_all(pool, [*looks[Split.VAL], *looks[Split.TEST]], "encoding")
        tried = _try(options, methods, pool, looks[Split.VAL], ends_s)
        calibrations = {name: _calibrate(options, name, looks[Split.VAL], tried) for name in methods}
        exams = _examine(
            options, {name: c[0] for name, c in calibrations.items()}, pool, looks[Split.TEST], ends_s
        )
    report = _report(options, calibrations, exams, looks)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    _write_said(options.out.with_suffix(".said.jsonl"), [tried, *exams])
    plot(report["methods"], options.out.with_suffix(".png"))
    _print(report)


def _methods(options: Namespace) -> list[str]:
    found = [name for name in METHODS if (options.run / name / METHOD_FILE).is_file()]
    if not found:
        raise CheckpointError(f"{options.run} holds no method: train some with livestar.training.compare.")
    return found


def _ways(options: Namespace, method: str) -> tuple[Serving, ...]:
    return servings(method, options.alphas, options.thresholds)


def _try(
    options: Namespace, methods: Sequence[str], pool: Executor, looks: Sequence[Look], ends_s: float
) -> Seen:
    """Watches the validation clips in all ways; the first values of all methods come first, should the time be up early."""
    ways = {name: _ways(options, name) for name in methods}
    jobs = [
        Watch(options.run / name, look, ways[name][k], options.max_trunk_tokens)
        for k in range(max(map(len, ways.values())))
        for look in looks
        for name in methods
        if k < len(ways[name])
    ]
    now_s = time.monotonic()
    return run_all(pool, jobs, "validation", now_s + CALIBRATION_SHARE * (ends_s - now_s))


def _calibrate(
    options: Namespace, method: str, looks: Sequence[Look], tried: Seen
) -> tuple[Serving, list[dict[str, Any]]]:
    """The best way by `RULE`, and the scores of all ways in which every validation clip was watched."""
    rows: list[tuple[Serving, Row]] = []
    for way in _ways(options, method):
        jobs = [Watch(options.run / method, look, way, options.max_trunk_tokens) for look in looks]
        if all(job in tried for job in jobs):
            rows.append((way, scores([tried[job] for job in jobs])))
    best = max(rows, key=lambda row: objective(row[1]), default=(_ways(options, method)[0], None))[0]
    table = [{"served": way.label, "objective": round(objective(row), 4), **row} for way, row in rows]
    return best, table


def _examine(
    options: Namespace,
    chosen: Mapping[str, Serving],
    pool: Executor,
    looks: Sequence[Look],
    ends_s: float,
) -> list[Seen]:
    """The test clips that all methods have watched, in the order of the methods."""
    rows = [
        [Watch(options.run / name, look, way, options.max_trunk_tokens) for name, way in chosen.items()]
        for look in looks
    ]
    done = run_all(pool, [job for row in rows for job in row], "test", ends_s)
    return [{job: done[job] for job in row} for row in rows if all(job in done for job in row)]


def _report(
    options: Namespace,
    calibrations: Mapping[str, tuple[Serving, list[dict[str, Any]]]],
    exams: Sequence[Seen],
    looks: Mapping[Split, Sequence[Look]],
) -> dict[str, Any]:
    methods: dict[str, dict[str, Any]] = {}
    for k, (name, (way, table)) in enumerate(calibrations.items()):
        watched = [list(row.values())[k] for row in exams]
        methods[name] = {
            "served": way.label,
            "calibrated": bool(table),
            "overall": scores(watched),
            "families": scores_by_family(watched),
            "calibration": table,
            "trained": json.loads((options.run / name / METHOD_FILE).read_text(encoding="utf-8")),
        }
    return {
        "rule": RULE,
        "seconds": options.seconds,
        "max_trunk_tokens": options.max_trunk_tokens,
        "validation_clips": len(looks[Split.VAL]),
        "test_clips": len(exams),
        "test_clips_left_out": len(looks[Split.TEST]) - len(exams),
        "margins": margins({name: row["overall"] for name, row in methods.items()}, OURS, REFERENCE),
        "methods": methods,
    }


def _write_said(path: Path, seen: Sequence[Seen]) -> None:
    """Everything that was said, a line for each clip and each way."""
    with path.open("w", encoding="utf-8") as file:
        for job, watched in (pair for group in seen for pair in group.items()):
            assert isinstance(job, Watch), "only watching leaves words"
            said = [[each.second, each.text] for each in watched.said or ()]
            line = {
                "method": job.serving.method,
                "served": job.serving.label,
                "split": job.look.split.name.lower(),
                "clip": watched.clip.video_id,
                "said": said,
            }
            file.write(json.dumps(line) + "\n")


def _print(report: Mapping[str, Any]) -> None:
    short = {name: {"served": row["served"], **row["overall"]} for name, row in report["methods"].items()}
    lines = [json.dumps({"method": name, **row}) for name, row in short.items()]
    sys.stdout.write("\n".join([*lines, json.dumps({"margins": report["margins"]})]) + "\n")


def _options(arguments: Sequence[str] | None) -> Namespace:
    names = [info.name for info in families()]
    parser = ArgumentParser(
        prog="baseline_eval",
        description="Score the methods of a comparison on SynthStar clips.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--run", type=Path, required=True, help="folder of the comparison")
    add("--out", type=Path, required=True, help="report.json; a picture and what was said come beside it")
    add("--val-seeds", type=_range, default=range(2), metavar="A:B", help="validation clips of every family")
    add("--test-seeds", type=_range, default=range(3), metavar="A:B", help="test clips of every family")
    add("--seconds", type=float, default=60.0, help="length of a clip")
    add("--families", nargs="+", choices=names, default=names, metavar="NAME", help="which ones")
    add(
        "--alphas",
        type=float,
        nargs="+",
        default=[1.07, 1.03, 1.15, 1.3, 1.6, 2.5],
        help="gates that are tried, the likeliest first",
    )
    add(
        "--thresholds",
        type=float,
        nargs="+",
        default=[0.5, 0.7, 0.3, 0.85, 0.15, 0.95],
        help="likelihoods of silence below which eos and head speak that are tried, the likeliest first",
    )
    add("--max-trunk-tokens", type=int, default=6000, help="how much the engine remembers")
    add("--processes", type=int, default=2, help="of one thread each")
    add("--minutes", type=float, default=600.0, help="what has not been watched by then is left out")
    return parser.parse_args(arguments)


def _range(text: str) -> range:
    start, _, stop = text.partition(":")
    return range(int(start), int(stop) if stop else int(start) + 1)


if __name__ == "__main__":
    try:
        main()
    except LiveStarError as error:
        sys.exit(f"livestar: {error}")
