"""How far a run has come, in steps or in minutes, and the learning rate that belongs to it."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

CLOCK_FILE = "clock.json"

COMPILING_STEPS = 2
"""Steps that may take as long as hundreds of others; the schedule begins behind them."""


@dataclass(frozen=True)
class Plan:
    """When training ends.

    Attributes:
        max_steps: after so many steps, those of resumed runs included.
        minutes: this run stops after so many minutes.
        horizon_minutes: after so many minutes in all, those of resumed runs included.
        warmup: share of training in which the learning rate rises.

    The learning rate follows the share of training that is done: by `max_steps`, or by `horizon_minutes`, whichever is
    nearer to its end.

    Raises:
        ValueError: neither `max_steps` nor `horizon_minutes` is given.
    """

    max_steps: int | None = None
    minutes: float | None = None
    horizon_minutes: float | None = None
    warmup: float = 0.03

    def __post_init__(self) -> None:
        if self.max_steps is None and self.horizon_minutes is None:
            raise ValueError("training needs an end: max_steps or horizon_minutes")


@dataclass(frozen=True)
class Spent:
    """What earlier runs have used: minutes, and the share of training that they did by the minute."""

    minutes: float = 0.0
    share: float = 0.0

    @classmethod
    def read(cls, checkpoint: Path) -> Spent:
        """From a saved state."""
        return cls(**json.loads((checkpoint / CLOCK_FILE).read_text(encoding="utf-8")))


class Clock(TrainerCallback):
    """Counts the minutes, stops a run in time, and has the state saved whenever it stops.

    Args:
        plan: when to stop.
        spent: by the runs before this one.
    """

    def __init__(self, plan: Plan, spent: Spent = Spent()) -> None:
        self._plan = plan
        self._spent = spent
        self._began_s = time.monotonic()
        self._num_steps = 0
        self._idle_minutes = 0.0

    @property
    def minutes(self) -> float:
        """Of this run."""
        return (time.monotonic() - self._began_s) / 60

    def share(self, step: int) -> float:
        """The share of training that is done after `step` steps, 0 to 1."""
        by_steps = step / self._plan.max_steps if self._plan.max_steps else 0.0
        return min(1.0, max(by_steps, self._share_by_minutes()))

    def rate(self, step: int) -> float:
        """The learning rate after `step` steps as a share of its peak."""
        return warmed_cosine(self.share(step), self._plan.warmup)

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Starts counting."""
        self._began_s, self._num_steps = time.monotonic(), 0

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the callback's signature
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Stops when the time or the steps are up."""
        self._num_steps += 1
        if self._num_steps == COMPILING_STEPS:
            self._idle_minutes = self.minutes
        out_of_time = self._plan.minutes is not None and self.minutes >= self._plan.minutes
        if out_of_time or self.share(state.global_step) >= 1:
            control.should_training_stop = control.should_save = control.should_log = True

    def on_save(self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Notes the minutes beside the state."""
        path = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / CLOCK_FILE
        spent = Spent(self._spent.minutes + self.minutes, self._share_by_minutes())
        path.write_text(json.dumps(asdict(spent)), encoding="utf-8")

    def _share_by_minutes(self) -> float:
        """Runs evenly from what was done before to 1 at the horizon, the time of compilation left out."""
        if self._plan.horizon_minutes is None or self._num_steps < COMPILING_STEPS:
            return self._spent.share
        left = self._plan.horizon_minutes - self._spent.minutes - self._idle_minutes
        done = (self.minutes - self._idle_minutes) / left if left > 0 else 1.0
        return self._spent.share + (1 - self._spent.share) * min(1.0, done)


def warmed_cosine(share: float, warmup: float) -> float:
    """The learning rate as a share of its peak: up in a straight line during `warmup`, then down to zero as half a cosine."""
    if share < warmup:
        return share / warmup
    return 0.5 * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup))) if share < 1 else 0.0
