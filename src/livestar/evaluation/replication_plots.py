"""The plots of a replication report, as PNG files.

Colours are those of Okabe and Ito, which colour-blind people tell apart; markers and line styles say the same once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from livestar.evaluation.optional_package import require
from livestar.evaluation.replication_results import (
    ALPHA,
    BASELINES,
    MEMORY_300,
    MEMORY_600,
    REFERENCE,
    SPREAD,
    TRAINING,
    Results,
    Row,
)
from livestar.evaluation.replication_targets import plateau

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {
    "sem_cor": "SemCor (F1 of facts)",
    "tim_cover": "TimCover (share of events)",
    "tim_redun": "TimRedun (captions an event)",
    "tim_diff_s": "TimDiff (seconds)",
    "coq_exact": "question chains (share exact)",
}
METHOD_LOOKS = {
    "scam-paper": ("#0072B2", "o", "-"),
    "scam-released": ("#56B4E9", "s", "-"),
    "scam-jitter": ("#009E73", "D", "-"),
    "eos": ("#D55E00", "^", "--"),
    "head": ("#E69F00", "v", "--"),
    "causal": ("#CC79A7", "X", ":"),
    "recent": ("#000000", "P", ":"),
}
"""Colour, marker and line style; the forms of SCAM are the solid ones."""
BUDGET_LOOKS = (("#0072B2", "o"), ("#D55E00", "^"), ("#009E73", "D"), ("#CC79A7", "X"))
LOSS_TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


def plot_alpha(results: Results, picture: Path) -> None:
    """Scores over the gate's alpha in both modes, and the plateau.

    Raises:
        FailedPrecondition: matplotlib is not installed.
    """
    branch, reference = results.of(ALPHA), results.of(REFERENCE)
    alphas = sorted({float(row["alpha"]) for row in (*branch, *reference)})
    places = {alpha: float(k) for k, alpha in enumerate(alphas)}
    figure = _figure(9, 8.5)
    panels: Sequence[Axes] = figure.subplots(4, 1, sharex=True)
    shaded = plateau(branch)
    for axes, score in zip(panels, ("sem_cor", "tim_cover", "tim_redun", "tim_diff_s"), strict=True):
        _curve(axes, branch, score, places, ("#0072B2", "o", "-", "mode branch"))
        _curve(axes, reference, score, places, ("#D55E00", "^", "--", "mode reference"))
        if shaded:
            axes.axvspan(places[shaded[0]] - 0.4, places[shaded[1]] + 0.4, color="0.9", zorder=0)
        axes.set(ylabel=LABELS[score].replace(" (", "\n("), ylim=(0, None))
        axes.grid(visible=True, alpha=0.3)
    panels[0].legend(loc="lower left", fontsize=9)
    panels[0].set_title("Sensitivity of the gate, livestar-nano", loc="left")
    if shaded:
        told = f"shaded: branch meets all timing goals, {shaded[0]:g} to {shaded[1]:g}"
        panels[0].set_title(told, loc="right", fontsize=9, color="0.35")
    panels[-1].set_xticks(list(places.values()), [f"{alpha:g}" for alpha in alphas])
    panels[-1].set_xlabel(
        "alpha, the measured values side by side (speak when perplexity > alpha × reference)"
    )
    _save(figure, picture)


def plot_baselines(results: Results, picture: Path) -> None:
    """Methods: how right against how late, and a bar each for three scores; whiskers are the middle 95 %.

    Raises:
        FailedPrecondition: matplotlib is not installed.
    """
    methods = {name: row["overall"] for name, row in results.of(BASELINES)[0]["methods"].items()}
    intervals = (results.one(SPREAD) or {}).get("methods", {})
    figure = _figure(13, 8)
    grid = figure.add_gridspec(2, 3, height_ratios=(1.25, 1))
    axes = figure.add_subplot(grid[0, :])
    for name, row in methods.items():
        colour, marker, _ = METHOD_LOOKS.get(name, ("0.5", "o", "-"))
        place = (row["tim_diff_s"], row["sem_cor"])
        found = intervals.get(name, {})
        axes.errorbar(
            *place, xerr=_whiskers(row, found, "tim_diff_s"), yerr=_whiskers(row, found, "sem_cor"), label=name,
            color=colour, marker=marker, markersize=9, linestyle="none", elinewidth=0.8, alpha=0.9,
        )  # fmt: skip
    axes.set(xlabel=f"{LABELS['tim_diff_s']}: later →", ylabel=f"{LABELS['sem_cor']}: more right →")
    axes.set_title("Methods after the same steps on the same windows; best is top left", loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    axes.grid(visible=True, alpha=0.3)
    for column, score in enumerate(("sem_cor", "tim_diff_s", "tim_redun")):
        bars = figure.add_subplot(grid[1, column])
        _bars(bars, methods, score, intervals)
        if column:
            bars.tick_params(labelleft=False)
    _save(figure, picture)


def plot_memory(results: Results, picture: Path) -> None:
    """Memories at equal budgets; a dashed line where nothing is forgotten.

    Raises:
        FailedPrecondition: matplotlib is not installed.
    """
    files = [rows for name in (MEMORY_300, MEMORY_600) if (rows := results.of(name))]
    scores = ("sem_cor", "coq_exact", "tim_redun", "tim_diff_s")
    figure = _figure(13, 1.2 + 2.9 * len(files))
    panels = figure.subplots(len(files), len(scores), squeeze=False)
    for line, rows in zip(panels, files, strict=True):
        for axes, score in zip(line, scores, strict=True):
            _memories(axes, rows, score)
        line[0].set_title(f"clips of {rows[0]['seconds']:g} s", loc="left")
        line[0].set_ylabel("memory")
        for axes in line[1:]:
            axes.tick_params(labelleft=False)
        line[-1].legend(title="budget, tokens", loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    _save(figure, picture)


def plot_training(results: Results, picture: Path) -> None:
    """Losses of the methods' captions.

    Raises:
        FailedPrecondition: matplotlib is not installed.
    """
    rows = results.of(TRAINING)
    figure = _figure(9, 5)
    axes = figure.subplots()
    for name in rows[0]["losses"]:
        colour, marker, line = METHOD_LOOKS.get(name, ("0.5", "o", "-"))
        losses = [row["losses"][name]["caption"] for row in rows]
        axes.plot(
            [row["step"] for row in rows], losses, line, label=name, color=colour, marker=marker, markersize=4
        )
    axes.set(xlabel="step", ylabel="captions (nats a token)", yscale="log")
    axes.set_yticks(LOSS_TICKS, [f"{tick:g}" for tick in LOSS_TICKS])
    lowest = min(row["losses"][name]["caption"] for row in rows for name in row["losses"])
    axes.set_ylim(lowest / 1.3, None)
    axes.set_title("Training losses of the methods", loc="left")
    axes.legend(frameon=False)
    axes.grid(visible=True, alpha=0.3)
    _save(figure, picture)


def _curve(
    axes: Axes, rows: Sequence[Row], score: str, places: dict[float, float], look: tuple[str, str, str, str]
) -> None:
    colour, marker, line, label = look
    ordered = sorted(rows, key=lambda row: float(row["alpha"]))
    if not ordered:
        return
    xs = [places[float(row["alpha"])] for row in ordered]
    values = [row["overall"][score] for row in ordered]
    axes.plot(xs, values, line, color=colour, marker=marker, markersize=5, label=label)


def _bars(axes: Axes, methods: dict[str, Row], score: str, intervals: Row) -> None:
    names = list(methods)
    values = [methods[name][score] or 0.0 for name in names]
    colours = ["#0072B2" if name.startswith("scam") else "#E69F00" for name in names]
    hatches = ["" if name.startswith("scam") else "//" for name in names]
    whiskers = [_whiskers(methods[name], intervals.get(name, {}), score) for name in names]
    known = all(each is not None for each in whiskers)
    xerr = [[each[side][0] for each in whiskers if each] for side in (0, 1)] if known else None
    axes.barh(names, values, color=colours, hatch=hatches, edgecolor="white", xerr=xerr, ecolor="0.25")
    for k, value in enumerate(values):
        axes.text(1.02, k, f"{value:.3f}", transform=axes.get_yaxis_transform(), va="center", fontsize=9)
    axes.invert_yaxis()
    axes.set(xlabel=LABELS[score], xlim=(0, None))
    axes.grid(visible=True, axis="x", alpha=0.3)
    axes.set_axisbelow(True)


def _memories(axes: Axes, rows: Sequence[Row], score: str) -> None:
    names = list(dict.fromkeys(row["memory"] for row in rows if row["memory"] != "keep-everything"))
    budgets = sorted({row["max_trunk_tokens"] for row in rows if row["memory"] in names})
    for budget, (colour, marker) in zip(budgets, BUDGET_LOOKS, strict=False):
        found = {row["memory"]: row["overall"][score] for row in rows if row["max_trunk_tokens"] == budget}
        known = [(found[name], k) for k, name in enumerate(names) if found.get(name) is not None]
        if known:
            xs, ys = zip(*known, strict=True)
            axes.plot(xs, ys, marker, color=colour, markersize=8, linestyle="none", label=f"{budget:,}")
    whole = next((row["overall"][score] for row in rows if row["memory"] == "keep-everything"), None)
    if whole is not None:
        axes.axvline(whole, color="0.35", linestyle="--", label="all")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(LABELS[score])
    axes.grid(visible=True, alpha=0.3)


def _whiskers(row: Row, intervals: Row, score: str) -> tuple[list[float], list[float]] | None:
    """Lengths to the left and to the right, as matplotlib wants them."""
    bounds = intervals.get(score)
    if bounds is None or row[score] is None:
        return None
    return [max(0.0, row[score] - bounds[0])], [max(0.0, bounds[1] - row[score])]


def _figure(width: float, height: float) -> Figure:
    figure: Figure = require("matplotlib.figure", "plots").Figure(
        figsize=(width, height), layout="constrained"
    )
    return figure


def _save(figure: Figure, picture: Path) -> None:
    figure.savefig(picture, dpi=110)
