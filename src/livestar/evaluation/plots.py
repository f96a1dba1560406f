"""Curves and histograms of an evaluation as PNG files.

Colours are those of Okabe and Ito, which colour-blind people tell apart; markers and line styles say the same once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from livestar.evaluation.delays import Delays
from livestar.evaluation.optional_package import require
from livestar.evaluation.sweep import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = {
    "sem_cor": ("SemCor (F1 of facts)", "#0072B2", "o", "-"),
    "facts_recall": ("facts recalled", "#009E73", "s", "--"),
    "tim_cover": ("TimCover (events spoken to)", "#D55E00", "^", "-"),
    "tim_redun": ("TimRedun (|captions − 1|)", "#CC79A7", "v", "--"),
    "fdq_exact": ("standing questions exact", "#000000", "D", ":"),
    "coq_exact": ("question chains exact", "#E69F00", "D", ":"),
    "miq_exact": ("parallel chains exact", "#56B4E9", "X", ":"),
    "tim_diff_s": ("TimDiff, first caption", "#0072B2", "o", "-"),
    "tim_diff_cumulative_s": ("TimDiff, all captions", "#E69F00", "s", "--"),
}
"""Label, colour, marker and line style of a score."""

_QUALITY = ("sem_cor", "facts_recall", "tim_cover", "coq_exact", "miq_exact")
_GATE = ("sem_cor", "facts_recall", "tim_cover", "fdq_exact")
_DELAY = ("tim_diff_s", "tim_diff_cumulative_s")


def plot_alpha_curve(points: Sequence[Point], chosen: float, picture: Path) -> None:
    """Draws what the gate's sensitivity does.

    Args:
        points: of the curve, each with its `alpha`.
        chosen: the alpha of the evaluation, marked by a line.
        picture: PNG file to write.

    Raises:
        FailedPrecondition: matplotlib is not installed.
    """
    ordered = sorted(points, key=lambda point: point["alpha"] or 0)
    xs = [float(point["alpha"] or 0) for point in ordered]
    figure, panels = _panels("Sensitivity of the gate", xs, ordered, _GATE)
    if xs[0] <= chosen <= xs[-1]:
        for axes in panels:
            axes.axvline(chosen, color="0.5", linewidth=1, linestyle=(0, (1, 2)), zorder=0)
        panels[0].set_title(f"dotted: the scored alpha, {chosen:g}", loc="right", fontsize=9, color="0.35")
    panels[-1].set_xlabel("alpha (speak when perplexity > alpha × reference)")
    figure.savefig(picture, dpi=150)


def plot_memory_curve(points: Sequence[Point], memory: str, picture: Path) -> None:
    """Draws what remembering less costs.

    Args:
        points: of the curve, each with its `max_trunk_tokens`; None is a memory that keeps everything.
        memory: name of the policy.
        picture: PNG file to write.

    Raises:
        FailedPrecondition: matplotlib is not installed.
    """
    ordered = sorted(points, key=lambda point: (point["max_trunk_tokens"] is None, point["max_trunk_tokens"]))
    labels = ["all" if p["max_trunk_tokens"] is None else f"{p['max_trunk_tokens']:,}" for p in ordered]
    xs = [float(i) for i in range(len(ordered))]
    figure, panels = _panels(f"Memory budget ({memory})", xs, ordered, _QUALITY)
    panels[-1].set_xlabel("tokens that are remembered, at most")
    panels[-1].set_xticks(xs, labels)
    panels[-1].set_xlim(-0.3, len(xs) - 0.7)
    figure.savefig(picture, dpi=150)


def plot_delays(delays: Delays, picture: Path, longest_s: int = 15) -> None:
    """Draws how many events were spoken to after how many seconds; those later than `longest_s` stand together.

    Raises:
        FailedPrecondition: matplotlib is not installed.
    """
    figure = _figure(4.5)
    axes = figure.subplots()
    counts = list(delays.counts)
    if len(counts) > longest_s + 1:
        counts = [*counts[:longest_s], sum(counts[longest_s:])]
    names = [f"{second}" for second in range(len(counts))]
    if len(delays.counts) > longest_s + 1:
        names[-1] = f"{longest_s}+"
    bars = axes.bar(range(len(counts)), counts, color="#0072B2", width=0.85)
    axes.bar_label(bars, [f"{count}" if count else "" for count in counts], fontsize=8, padding=2)
    width = 1 if delays.missed else 0
    missed = axes.bar(
        len(counts) + 0.5, delays.missed, color="white", edgecolor="#D55E00", hatch="///", linewidth=width
    )
    axes.bar_label(missed, fontsize=8, padding=2)
    axes.set_xticks([*range(len(counts)), len(counts) + 0.5], [*names, "missed"])
    axes.set(xlabel="seconds from the event's first frame to the first caption", ylabel="events")
    axes.set_title("How soon an event is spoken to", loc="left")
    axes.margins(y=0.1)
    axes.grid(visible=True, axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    figure.savefig(picture, dpi=150)


def _panels(
    title: str, xs: Sequence[float], points: Sequence[Point], shares: Sequence[str]
) -> tuple[Figure, Sequence[Axes]]:
    """Shares, redundancy and delays over the same axis, one panel each, for their units differ."""
    figure = _figure(7.2)
    panels: Sequence[Axes] = figure.subplots(3, 1, sharex=True, height_ratios=(2, 1, 1))
    panels[0].set_title(title, loc="left")
    _draw(panels[0], xs, points, shares)
    _draw(panels[1], xs, points, ("tim_redun",))
    _draw(panels[2], xs, points, _DELAY)
    values = [float(value) for name in shares for point in points if (value := point[name]) is not None]
    panels[0].set(ylabel="share", ylim=(max(0.0, int(10 * min(values, default=0) - 0.2) / 10), 1.01))
    panels[1].set(ylabel="captions an event", ylim=(0, None))
    panels[2].set(ylabel="seconds", ylim=(0, None))
    return figure, panels


def _figure(height: float) -> Figure:
    figure: Figure = require("matplotlib.figure", "plots").Figure(figsize=(9, height), layout="constrained")
    return figure


def _draw(axes: Axes, xs: Sequence[float], points: Sequence[Point], names: Sequence[str]) -> None:
    """A line for each score that the points have, and a legend beside the panel, where it hides nothing."""
    for name in names:
        label, colour, marker, line = _LOOKS[name]
        known = [
            (x, value) for x, point in zip(xs, points, strict=True) if (value := point[name]) is not None
        ]
        if known:
            axes.plot(*zip(*known, strict=True), line, label=label, color=colour, marker=marker, markersize=5)
    axes.grid(visible=True, alpha=0.3)
    if axes.lines:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
