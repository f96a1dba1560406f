"""The tables of a replication report, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from livestar.evaluation.replication_document import table
from livestar.evaluation.replication_results import (
    ALPHA,
    BASELINES,
    MEMORY_300,
    MEMORY_600,
    REFERENCE,
    SPREAD,
    TEST,
    TRAINING,
    VALIDATION,
    Results,
    Row,
)
from livestar.evaluation.replication_targets import (
    GATE,
    GOALS,
    MARGINS,
    Target,
    fails,
    holds,
    plateau,
    relative,
    targets,
)

GATE_FIGURES = ("facts_right", "sem_cor", "tim_cover", "tim_redun", "tim_diff_s")
COMPARED = ("sem_cor", "tim_diff_s", "tim_redun", "tim_cover", "facts_right")
MEMORY_FIGURES = ("sem_cor", "coq_exact", "tim_cover", "tim_redun", "tim_diff_s")
VARIANTS = {
    "scam-paper": "as in the paper: a clip's last caption stays visible",
    "scam-released": "as released: every caption is hidden",
    "scam-jitter": "as in the paper, boundaries moved",
}
MISS = "✗"
"""Stands beside a figure that misses its goal."""


def targets_table(results: Results) -> str:
    """Every claim with its figure; those of single families only where they fail."""
    found = [t for t in targets(results) if t.met is False or t.name != "nano" or "all families" in t.what]
    rows = [[t.name, t.what, _goal(t), _shown(t), {True: "yes", False: "**no**", None: "not measured"}[t.met]]
            for t in found]  # fmt: skip
    return table(["claim", "figure", "goal", "measured", "met"], rows)


def nano_table(results: Results) -> str:
    """Nano by family."""
    row = _only(results, TEST)
    goals = ["goal", *(f"{relation} {bound:g}" for relation, bound in GOALS.values()), ""]
    groups = {"**all families**": row["overall"], **row["families"]}
    rows = [[name, *_scores(scores, GOALS), str(scores["clips"])] for name, scores in groups.items()]
    failed = [name for name, scores in row["families"].items() if any(fails(f, scores[f]) for f in GOALS)]
    told = f"Families that miss a goal ({MISS}): {', '.join(failed) or 'none'}."
    return f"{table(['', *GOALS, 'clips'], [goals, *rows])}\n\n{told} {_watched(row)}"


def novelty_table(results: Results) -> str:
    """Nano by what training never saw."""
    row = _only(results, TEST)
    rows = [[name, *_scores(scores, GOALS), str(scores["clips"])] for name, scores in row["novelty"].items()]
    return table(["new in the clip", *GOALS, "clips"], rows)


def validation_table(results: Results) -> str:
    """The gate on validation clips."""
    rows = results.of(VALIDATION)
    return f"{_gate_table(rows)}\n\n{_watched(rows[0], varied=['alpha'])}"


def baselines_table(results: Results) -> str:
    """All methods of the comparison, with intervals where they were drawn."""
    report = _only(results, BASELINES)
    intervals: Mapping[str, Any] = (results.one(SPREAD) or {}).get("methods", {})
    rows = [
        [
            name,
            row["served"],
            *(_with_interval(row["overall"][f], intervals.get(name, {}).get(f)) for f in COMPARED),
        ]
        for name, row in report["methods"].items()
    ]
    trained = next(iter(report["methods"].values()))["trained"]
    steps, batch = trained.get("steps"), trained.get("batch_size")
    start = "the language model of the checkpoint" if trained.get("warm") else "the same random weights"
    told = (
        f"Trained: {steps} steps of {batch} windows each, from {start}. {report['test_clips']} test clips of "
        f"{report['seconds']:g} s; gate or threshold chosen on {report['validation_clips']} validation clips "
        f"by the {report['rule']}."
    )
    drawn = " In brackets the middle 95 % when the test clips are drawn again and again." if intervals else ""
    return f"{table(['method', 'served with', *COMPARED], rows)}\n\n{told}{drawn}"


def margins_table(results: Results) -> str:
    """How much better or worse than EOS, and than the best of the others."""
    report = _only(results, BASELINES)
    differences: Mapping[str, Any] = (results.one(SPREAD) or {}).get("minus_reference", {})
    rows = []
    for method, against in report["margins"].items():
        for rivals, figures in against.items():
            for figure, margin in figures.items():
                is_eos = rivals == "against eos"
                relation, bound = MARGINS[figure] if is_eos else (MARGINS[figure][0], 0.0)
                value = margin["relative"]
                met = value is not None and value and holds(value, relation, bound)
                interval = differences.get(method, {}).get(figure) if margin["rival"] == "eos" else None
                rows.append(
                    [method, figure, rivals.replace("the best", f"the best, {margin['rival']}"), _number(margin["ours"]),
                     _number(margin["theirs"]), _percent(value), f"{bound:+.1%}" if is_eos else "better",
                     "yes" if met else "**no**", _interval(interval)]
                )  # fmt: skip
    head = ["method", "figure", "", "ours", "theirs", "relative", "goal", "met", "difference, middle 95 %"]
    return table(head, rows)


def variants_table(results: Results) -> str:
    """The forms of SCAM."""
    methods = _only(results, BASELINES)["methods"]
    rows = [
        [name, form, methods[name]["served"], *_plain(methods[name]["overall"], COMPARED)]
        for name, form in VARIANTS.items()
        if name in methods
    ]
    return table(["method", "SCAM", "served with", *COMPARED], rows)


def training_table(results: Results) -> str:
    """Losses of the methods at the end."""
    last = results.of(TRAINING)[-1]
    rows = [
        [name, _number(losses["caption"]), _number(losses["decision"])]
        for name, losses in last["losses"].items()
    ]
    head = ["method", "captions, nats a token", "decision, nats"]
    return f"{table(head, rows)}\n\nMeans over the last steps before step {last['step']}, minute {last['minutes']:.1f}."


def alpha_table(results: Results) -> str:
    """The gate on test clips."""
    rows = results.of(ALPHA)
    found = plateau(rows)
    told = f"every measured alpha from {found[0]:g} to {found[1]:g}" if found else "no measured alpha"
    return f"{_gate_table(rows)}\n\nThe goals for {', '.join(GATE)} are met by {told}. {_watched(rows[0], varied=['alpha'])}"


def modes_table(results: Results) -> str:
    """Mode branch beside mode reference at the alphas that were measured in both."""
    branch, reference = (
        {float(row["alpha"]): row for row in results.of(name)} for name in (ALPHA, REFERENCE)
    )
    rows = [
        [f"{alpha:.2f}", mode, *_scores(measured[alpha]["overall"], GATE_FIGURES)]
        for alpha in sorted(reference)
        for mode, measured in (("branch", branch), ("reference", reference))
        if alpha in measured
    ]
    watched = _watched(results.of(REFERENCE)[0], varied=["alpha", "mode"])
    return f"{table(['alpha', 'mode', *GATE_FIGURES], rows)}\n\n{watched}"


def memory_300_table(results: Results) -> str:
    """Memories at tight budgets."""
    return _memory_table(results.of(MEMORY_300))


def memory_600_table(results: Results) -> str:
    """Memories beside one that keeps everything."""
    return _memory_table(results.of(MEMORY_600))


def _memory_table(rows: Sequence[Row]) -> str:
    whole = next((row["overall"] for row in rows if row["memory"] == "keep-everything"), None)
    ordered = sorted(rows, key=lambda row: (row["memory"] == "keep-everything", row["max_trunk_tokens"]))
    lines = [
        [
            "all" if row["memory"] == "keep-everything" else f"{row['max_trunk_tokens']:,}",
            row["memory"],
            *_plain(row["overall"], MEMORY_FIGURES),
            *([_percent(relative(row["overall"]["sem_cor"], whole["sem_cor"]))] if whole else []),
        ]
        for row in ordered
    ]
    head = [
        "budget, tokens",
        "memory",
        *MEMORY_FIGURES,
        *(["sem_cor against keep-everything"] if whole else []),
    ]
    return f"{table(head, lines)}\n\n{_watched(rows[0], varied=['max_trunk_tokens'])}"


def _gate_table(rows: Sequence[Row]) -> str:
    ordered = sorted(rows, key=lambda row: float(row["alpha"]))
    lines = [[f"{row['alpha']:.2f}", *_scores(row["overall"], GATE_FIGURES)] for row in ordered]
    return table(["alpha", *GATE_FIGURES], lines)


def _watched(row: Row, *, varied: Sequence[str] = ()) -> str:
    """What was watched, and how; without what the table says itself."""
    first, last = row["seeds"][0], row["seeds"][1] - 1
    seeds = f"seed {first}" if first == last else f"seeds {first} to {last}"
    has_questions = row["overall"]["coq_exact"] is not None
    told = {
        "mode": f"mode {row['mode']}",
        "alpha": f"alpha {row['alpha']:g}",
        "question_alpha": f"standing questions {row['question_alpha']:g}" if has_questions else "",
        "max_trunk_tokens": f"at most {row['max_trunk_tokens']:,} tokens of memory",
    }
    how = ", ".join(words for name, words in told.items() if words and name not in varied)
    clips = f"{row['overall']['clips']} clips of {row['seconds']:g} s, split {row['split']}, {seeds} of each family"
    return f"{clips}; {how}."


def _only(results: Results, name: str) -> Row:
    row = results.one(name)
    assert row is not None, "sections are written only from files that are there"
    return row


def _scores(scores: Mapping[str, Any], figures: Sequence[str] | Mapping[str, Any]) -> list[str]:
    return [f"{_number(scores[f])} {MISS}" if fails(f, scores[f]) else _number(scores[f]) for f in figures]


def _plain(scores: Mapping[str, Any], figures: Sequence[str]) -> list[str]:
    return [_number(scores[f]) for f in figures]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1%}"


def _interval(bounds: Sequence[float] | None) -> str:
    return "" if bounds is None else f"{bounds[0]:+.3f} to {bounds[1]:+.3f}"


def _with_interval(value: float | None, bounds: Sequence[float] | None) -> str:
    return _number(value) + ("" if bounds is None else f" [{bounds[0]:.2f}, {bounds[1]:.2f}]")


def _is_relative(target: Target) -> bool:
    return " relative to " in target.what


def _goal(target: Target) -> str:
    return (
        f"{target.relation} {target.bound:+.1%}"
        if _is_relative(target)
        else f"{target.relation} {target.bound:g}"
    )


def _shown(target: Target) -> str:
    return _percent(target.value) if _is_relative(target) else _number(target.value)
