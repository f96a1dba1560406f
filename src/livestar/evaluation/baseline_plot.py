"""A comparison as a picture: how right and how late each method is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PANELS = (
    ("sem_cor", "facts of the first caption, F1"),
    ("tim_diff_s", "seconds late"),
    ("tim_redun", "redundant captions an event"),
)


def plot(methods: Mapping[str, Mapping[str, Any]], picture: Path) -> None:
    """Draws a bar a method and score; nothing where matplotlib is missing.

    Args:
        methods: of the report.
        picture: file to write.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(12, 4), layout="constrained")
    names = list(methods)
    for axes, (name, label) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        values = [methods[method]["overall"][name] or 0.0 for method in names]
        colours = ["tab:green" if method.startswith("scam") else "tab:gray" for method in names]
        axes.barh(names, values, color=colours)
        axes.invert_yaxis()
        axes.set(title=name, xlabel=label)
        axes.grid(visible=True, axis="x", alpha=0.3)
    figure.savefig(picture, dpi=120)
