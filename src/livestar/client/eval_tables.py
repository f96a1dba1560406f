"""Scores as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Group
from rich.table import Table

Row = Mapping[str, float | int | None]

_GROUPS = {
    "What was said": ("facts_right", "facts_told", "facts_recall", "sem_cor", "fluency", "ppl", "tok_acc"),
    "When it was said": ("tim_cover", "tim_redun", "tim_diff_s", "tim_diff_cumulative_s"),
}
_REST = "Questions and speed"


def score_tables(rows: Mapping[str, Row], heading: str, *, rest: str = _REST) -> Group:
    """Several narrow tables, so that they fit a narrow terminal; the row `overall` stands out.

    Args:
        rows: scores by the name of their row; all rows have the same scores.
        heading: of the column with the names.
        rest: title of the table with the scores that have no table of their own.
    """
    names = list(next(iter(rows.values())))
    groups = {title: [name for name in group if name in names] for title, group in _GROUPS.items()}
    grouped = {name for group in groups.values() for name in group}
    groups[rest] = [name for name in names if name not in grouped]
    return Group(*(_table(title, rows, group, heading) for title, group in groups.items() if group))


def curve_table(title: str, points: Iterable[Row], names: Sequence[str]) -> Table:
    """A row for each point; the first of the names is what was varied, None for no bound."""
    table = _empty(title, names[0], names[1:])
    for point in points:
        first, *scores = (point[name] for name in names)
        table.add_row("all" if first is None else f"{first:g}", *map(_cell, scores))
    return table


def _table(title: str, rows: Mapping[str, Row], names: Sequence[str], heading: str) -> Table:
    table = _empty(title, heading, names)
    for label, scores in rows.items():
        cells = [_cell(scores[name]) for name in names]
        table.add_row(label, *cells, style="bold" if label == "overall" else "")
    return table


def _empty(title: str, heading: str, names: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(heading, no_wrap=True)
    for name in names:
        table.add_column(name.replace("_", "\n"), justify="right", no_wrap=True)
    return table


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
