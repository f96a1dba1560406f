"""How far a run has come, in steps or in minutes, and the learning rate that belongs to it."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

CLOCK_FILE = "clock.json"


@dataclass(frozen=True)
class Plan:
    """When a run ends.

    Attributes:
        max_steps: training ends after this many steps, those of resumed runs included.
        minutes: this run stops after as many minutes.
        horizon_minutes: training ends after as many minutes in all, those of resumed runs included.
        warmup: share of training in which the learning rate rises.

    The learning rate follows the share of training that is done, by `max_steps` or by `horizon_minutes`, whichever is more.
    """

    max_steps: int | None = None
    minutes: float | None = None
    horizon_minutes: float | None = None
    warmup: float = 0.03

    def __post_init__(self) -> None:
        if self.max_steps is None and self.horizon_minutes is None:
            raise ValueError("training needs an end: max_steps or horizon_minutes")


class Clock(TrainerCallback):
    """Counts the minutes, stops a run in time, and saves the state whenever it stops.

    Args:
        plan: when to stop.
        spent_minutes: by the runs before this one.
    """

    def __init__(self, plan: Plan, spent_minutes: float = 0.0) -> None:
        self._plan = plan
        self._spent_minutes = spent_minutes
        self._began_s = time.monotonic()

    @property
    def minutes(self) -> float:
        """Of this run."""
        return (time.monotonic() - self._began_s) / 60

    def share(self, step: int) -> float:
        """The share of training that is done after `step` steps, 0 to 1."""
        plan, shares = self._plan, [0.0]
        if plan.max_steps is not None:
            shares.append(step / plan.max_steps)
        if plan.horizon_minutes is not None:
            shares.append((self._spent_minutes + self.minutes) / plan.horizon_minutes)
        return min(1.0, max(shares))

    def rate(self, step: int) -> float:
        """The learning rate after `step` steps as a share of its peak."""
        return warmed_cosine(self.share(step), self._plan.warmup)

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Starts counting."""
        self._began_s = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Stops when the time or the steps are up."""
        out_of_time = self._plan.minutes is not None and self.minutes >= self._plan.minutes
        if out_of_time or self.share(state.global_step) >= 1:
            control.should_training_stop = control.should_save = control.should_log = True

    def on_save(self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Notes the minutes beside the state."""
        path = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / CLOCK_FILE
        path.write_text(json.dumps({"minutes": self._spent_minutes + self.minutes}), encoding="utf-8")


def spent_minutes(checkpoint: Path) -> float:
    """The minutes that a saved state took."""
    return float(json.loads((checkpoint / CLOCK_FILE).read_text(encoding="utf-8"))["minutes"])


def warmed_cosine(share: float, warmup: float) -> float:
    """The learning rate as a share of its peak: up in a straight line during `warmup`, then down to zero as half a cosine."""
    if share < warmup:
        return share / warmup
    return 0.5 * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup)))
