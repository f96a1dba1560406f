"""Where the result of an evaluation goes: a terminal, a program, a folder of pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console, RenderableType

from livestar.core.errors import InvalidInput
from livestar.evaluation.delays import Delays
from livestar.evaluation.optional_package import require
from livestar.evaluation.sweep import Point


@dataclass(frozen=True)
class EvalOutput:
    """How a user wants to see the result.

    Attributes:
        as_json: one JSON object instead of tables.
        plots: folder for the pictures; None for none.

    Raises:
        FailedPrecondition: pictures are wanted, and matplotlib is not installed.
        InvalidInput: the folder cannot be made.
    """

    as_json: bool
    plots: Path | None

    def __post_init__(self) -> None:
        if self.plots is None:
            return
        require("matplotlib.figure", "plots")
        try:
            self.plots.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"--plots {self.plots} cannot be made a folder: {error.strerror}") from error

    def show(self, report: Mapping[str, object], *tables: RenderableType) -> None:
        """Prints the result in the wanted form."""
        if self.as_json:
            typer.echo(json.dumps(report, allow_nan=False))
        else:
            Console().print(*tables, sep="\n")

    def plot(self, delays: Delays, curves: Mapping[str, list[Point]], *, alpha: float, memory: str) -> None:
        """Writes the pictures, if they are wanted."""
        from livestar.evaluation.plots import plot_alpha_curve, plot_delays, plot_memory_curve

        if self.plots is None:
            return
        plot_delays(delays, self.plots / "delays.png")
        if points := curves.get("alpha_curve"):
            plot_alpha_curve(points, alpha, self.plots / "alpha.png")
        if points := curves.get("memory_curve"):
            plot_memory_curve(points, memory, self.plots / "memory.png")
