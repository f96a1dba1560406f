"""What a run writes down: a JSON line per logged step, one line for people, and the loss as a picture."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

METRICS_FILE = "metrics.jsonl"
PLOT_FILE = "loss.png"


@dataclass
class Meter:
    """Counts what passes through the loop between two log lines.

    Attributes:
        frames: pictures.
        tokens: scored tokens.
        steps: optimizer steps.
        waited_s: time that the loop waited for data.
    """

    frames: int = 0
    tokens: int = 0
    steps: int = 0
    waited_s: float = 0.0
    _since_s: float = field(default_factory=time.monotonic)

    def restart(self) -> None:
        """Begins a new stretch."""
        self.frames = self.tokens = self.steps = 0
        self.waited_s, self._since_s = 0.0, time.monotonic()

    def read(self) -> dict[str, float]:
        """Rates of the stretch, which ends here."""
        took_s = max(time.monotonic() - self._since_s, 1e-9)
        rates = {
            "steps_per_s": self.steps / took_s,
            "frames_per_s": self.frames / took_s,
            "scored_tokens_per_s": self.tokens / took_s,
            "data_wait": self.waited_s / took_s,
        }
        self.restart()
        return {name: round(rate, 4) for name, rate in rates.items()}


class Journal(TrainerCallback):
    """Appends to metrics.jsonl, and draws loss.png when the run ends.

    Args:
        out_dir: where both lie.
        quiet: a progress bar shows the figures; print no lines.
    """

    def __init__(self, out_dir: Path, *, quiet: bool) -> None:
        self._path = out_dir / METRICS_FILE
        self._quiet = quiet

    def on_log(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the callback's signature
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Writes one line."""
        if not state.is_world_process_zero:
            return
        figures = {name: value for name, value in (logs or {}).items() if name != "epoch"}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": state.global_step, **figures}) + "\n")
        if not self._quiet:
            told = " ".join(f"{name} {value:.4g}" for name, value in figures.items())
            sys.stdout.write(f"step {state.global_step} {told}\n")
            sys.stdout.flush()

    def on_train_end(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the callback's signature
        state: TrainerState,
        *_: Any,
        **__: Any,
    ) -> None:
        """Draws the losses so far."""
        if state.is_world_process_zero:
            plot_losses(self._path, self._path.with_name(PLOT_FILE))


def plot_losses(metrics: Path, picture: Path) -> None:
    """Draws training and validation loss over the steps."""
    from matplotlib.figure import Figure

    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, label in (("loss", "training"), ("eval_loss", "validation")):
        points = [(row["step"], row[name]) for row in rows if name in row]
        if points:
            axes.plot(*zip(*points, strict=True), label=label)
    axes.set(xlabel="step", ylabel="nats per token", yscale="log")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=120)
