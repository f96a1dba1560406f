"""The parity report, for people and for programs."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from livestar.client.plain_text import counted
from livestar.evaluation.parity import FEATURE_TOLERANCE, PERPLEXITY_TOLERANCE, ParityReport

LIMITS = {
    "features_max_abs_err": FEATURE_TOLERANCE,
    "logits_max_abs_err": FEATURE_TOLERANCE,
    "perplexity_max_rel_err": PERPLEXITY_TOLERANCE,
}


def parity_json(report: ParityReport) -> str:
    """One line. JSON has no infinity: an error that is not finite is the largest number there is, and null means not checked."""
    fields = {
        name: min(value, sys.float_info.max) if isinstance(value, float) else value
        for name, value in asdict(report).items()
    }
    return json.dumps(fields, allow_nan=False)


def parity_table(report: ParityReport) -> RenderableType:
    """One row a check: its value, its limit, and whether it holds; below them the verdict."""
    table = Table(title="Parity with the published reference", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("check", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("limit", justify="right")
    table.add_column("")
    held, differing = 0, []
    for name, value in asdict(report).items():
        if value is None:
            table.add_row(name, "-", "", "no file", style="dim")
        elif good := _holds(name, value):
            held += good
            table.add_row(*_cells(name, value), Text("ok", style="green"))
        else:
            differing.append(name)
            table.add_row(*_cells(name, value), Text("DIFFERS", style="bold red"))
    verdict = Text(f"{counted(held, 'check')} passed, {counted(len(differing), 'check')} failed")
    if differing:
        verdict.append(": " + ", ".join(differing), style="bold red")
    return Group(table, verdict)


def _holds(name: str, value: float) -> bool:
    return value <= LIMITS[name] if name in LIMITS else bool(value)


def _cells(name: str, value: float) -> tuple[str, str, str]:
    if name not in LIMITS:
        return name, "equal" if value else "not equal", ""
    return name, f"{value:.2e}", f"{LIMITS[name]:.0e}"
