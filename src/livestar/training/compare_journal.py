"""What a comparison writes down while it runs, and when."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from livestar.training.journal import METRICS_FILE, PLOT_FILE
from livestar.training.progress import COMPILING_STEPS, warmed_cosine

PARTS = ("loss", "caption", "decision")


class Stopwatch:
    """How far a run has come, by its minutes or its steps; see `progress.Plan`.

    Args:
        minutes: the run ends after so many, counted from `began_s`.
        max_steps: it ends after so many steps.
        warmup: share of training in which the learning rate rises.
        began_s: on the monotonic clock.
    """

    def __init__(self, minutes: float, max_steps: int | None, warmup: float, began_s: float) -> None:
        self._seconds, self._max_steps, self._warmup = 60 * minutes, max_steps, warmup
        self._began_s = began_s
        self._idle_s = 0.0
        self.steps = 0

    @property
    def minutes(self) -> float:
        """Since the beginning."""
        return self._passed_s() / 60

    @property
    def rate(self) -> float:
        """The learning rate of the next step as a share of its peak."""
        return warmed_cosine(self._share(), self._warmup)

    @property
    def is_over(self) -> bool:
        """Whether to stop."""
        return self._share() >= 1 or self._passed_s() >= self._seconds

    def stepped(self) -> None:
        """Counts a step."""
        self.steps += 1
        if self.steps == COMPILING_STEPS:
            self._idle_s = self._passed_s()

    def _passed_s(self) -> float:
        return time.monotonic() - self._began_s

    def _share(self) -> float:
        by_steps = self.steps / self._max_steps if self._max_steps else 0.0
        if self.steps < COMPILING_STEPS:
            return by_steps
        left_s = self._seconds - self._idle_s
        return max(by_steps, (self._passed_s() - self._idle_s) / left_s if left_s > 0 else 1.0)


class CompareJournal:
    """Appends to metrics.jsonl, prints a line for people, and draws the losses at the end.

    Args:
        out_dir: where they lie.
        names: of the methods, in the order of the losses.
        log_every: steps.
    """

    def __init__(self, out_dir: Path, names: Sequence[str], log_every: int) -> None:
        self._path = out_dir / METRICS_FILE
        self._path.write_text("", encoding="utf-8")
        self._names, self._log_every = tuple(names), log_every
        self._losses: list[Tensor] = []
        self._since_s = time.monotonic()
        self.waited_s = 0.0
        self.last: dict[str, dict[str, float | None]] = {}

    def note(self, losses_M3: Tensor, watch: Stopwatch) -> None:
        """Keeps the losses of a step, `PARTS` for every method; waits for the device where a line is due."""
        self._losses.append(losses_M3)
        if watch.steps == 1 or watch.steps % self._log_every == 0:
            self.write(watch)

    def write(self, watch: Stopwatch) -> None:
        """Writes the means of the steps since the last line."""
        if not self._losses:
            return
        means = (sum(self._losses[1:], start=self._losses[0]) / len(self._losses)).tolist()
        took_s = max(time.monotonic() - self._since_s, 1e-9)
        self.last = {
            name: {part: _rounded(value) for part, value in zip(PARTS, row, strict=True)}
            for name, row in zip(self._names, means, strict=True)
        }
        line = {
            "step": watch.steps,
            "minutes": round(watch.minutes, 3),
            "rate": round(watch.rate, 5),
            "steps_per_s": round(len(self._losses) / took_s, 3),
            "data_wait": round(self.waited_s / took_s, 3),
            "losses": self.last,
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        told = " ".join(f"{name} {row['caption']}/{row['decision']}" for name, row in self.last.items())
        sys.stdout.write(
            f"step {watch.steps} {line['minutes']} min {line['steps_per_s']}/s wait {line['data_wait']} {told}\n"
        )
        sys.stdout.flush()
        self._losses, self.waited_s, self._since_s = [], 0.0, time.monotonic()

    def plot(self) -> None:
        """Draws the captions' losses; nothing where matplotlib is missing."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            return
        rows = [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.subplots()
        for name in self._names:
            axes.plot(
                [row["step"] for row in rows], [row["losses"][name]["caption"] for row in rows], label=name
            )
        axes.set(xlabel="step", ylabel="captions, nats per token", yscale="log")
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
        figure.savefig(self._path.with_name(PLOT_FILE), dpi=120)


def _rounded(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None
