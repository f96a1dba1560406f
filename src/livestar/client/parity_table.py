"""The parity report as a table."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table

from livestar.evaluation.parity import FEATURE_TOLERANCE, PERPLEXITY_TOLERANCE, ParityReport

LIMITS = {
    "features_max_abs_err": FEATURE_TOLERANCE,
    "logits_max_abs_err": FEATURE_TOLERANCE,
    "perplexity_max_rel_err": PERPLEXITY_TOLERANCE,
}


def parity_table(report: ParityReport) -> Table:
    """One row a check: its value, its limit, and whether it holds."""
    table = Table(title="Parity with the published reference")
    table.add_column("check")
    table.add_column("value", justify="right")
    table.add_column("limit", justify="right")
    table.add_column("")
    for name, value in asdict(report).items():
        limit = LIMITS.get(name)
        if value is None:
            table.add_row(name, "-", "", "no golden file", style="dim")
            continue
        good = value if limit is None else value <= limit
        shown = str(value) if limit is None else f"{value:.2e}"
        table.add_row(name, shown, "" if limit is None else f"{limit:.0e}", "ok" if good else "DIFFERS")
    return table
