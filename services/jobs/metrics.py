"""Metrics of jobs."""

from __future__ import annotations

from livestar.bus.job import FINAL_JOBS, JobInfo, JobState
from livestar.obs import Metrics


class JobsMetrics:
    """What this replica's workers did, and what waits in the book that all replicas share."""

    def __init__(self, metrics: Metrics) -> None:
        self._ended = metrics.counter("ended", "Jobs that this replica brought to an end.", ("state",))
        self._active = metrics.gauge(
            "active", "entries", "Jobs that are not over, over all replicas.", ("state",)
        )
        self._oldest = metrics.gauge(
            "oldest_queued", "seconds", "Age of the job that waits longest; 0: none waits."
        )
        self._known: dict[JobState, int] = {}
        for state in FINAL_JOBS:
            self._ended.labels(state)

    def note_outcomes(self, outcomes: dict[JobState, int]) -> None:
        """Totals since this replica started; they only grow."""
        for state, total in outcomes.items():
            self._ended.labels(state).inc(max(0, total - self._known.get(state, 0)))
        self._known = outcomes

    def note_active(self, active: list[JobInfo], now_ns: int) -> None:
        """Every job that is not over."""
        for state in (JobState.QUEUED, JobState.RUNNING):
            self._active.labels(state).set(sum(info.state is state for info in active))
        waiting = [info.created_at_ns for info in active if info.state is JobState.QUEUED]
        self._oldest.set((now_ns - min(waiting)) / 1e9 if waiting else 0.0)
