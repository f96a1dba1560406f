"""Puts messages that come twice, late and out of order back into the order of their sequence numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Missing:
    """Sequences that never come.

    Attributes:
        first: the first one.
        last: the last one.
        announced: they were dropped on purpose; False: they did not come in time.
    """

    first: int
    last: int
    announced: bool


class InOrder(Generic[ItemT]):
    """One stream's messages in order. A hole that nobody announced is waited for, then counted as lost.

    A source that was taken over starts a higher epoch. From the first sequence of that epoch on, what older epochs sent is
    dropped; what they sent before it is still wanted, however late.

    Args:
        after: the last sequence that is settled already.
        epoch: the highest epoch that was settled.
        patience_s: how long a hole is waited for, from when it is noticed.
        clock: seconds; tests may turn it.
    """

    def __init__(
        self,
        *,
        after: int = 0,
        epoch: int = 0,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._next = after + 1
        self._epoch = epoch
        self._epoch_from = self._next
        self._patience_s = patience_s
        self._clock = clock
        self._waiting: dict[int, tuple[int, int, ItemT]] = {}
        self._hole_since_s: float | None = None

    @property
    def num_waiting(self) -> int:
        """Messages that wait for their turn."""
        return len(self._waiting)

    def put(self, sequence: int, item: ItemT, *, dropped_before: int = 0, epoch: int = 1) -> bool:
        """Takes a message; False: it came before, or from an owner whose time was over."""
        if epoch > self._epoch:
            self._epoch, self._epoch_from = epoch, sequence
        elif epoch == self._epoch:
            self._epoch_from = min(self._epoch_from, sequence)
        if sequence < self._next or (epoch < self._epoch and sequence >= self._epoch_from):
            return False
        for outdated in [
            s for s, (_, e, _) in self._waiting.items() if e < self._epoch and s >= self._epoch_from
        ]:
            del self._waiting[outdated]
        if sequence in self._waiting:
            return False
        self._waiting[sequence] = (dropped_before, epoch, item)
        return True

    def take(self) -> ItemT | Missing | None:
        """What comes next; None: wait."""
        if self._next in self._waiting:
            _, _, item = self._waiting.pop(self._next)
            self._go_on_at(self._next + 1)
            return item
        if not self._waiting:
            return None
        sequence = min(self._waiting)
        announced_from = sequence - self._waiting[sequence][0]
        if announced_from <= self._next:
            return self._skip(sequence, announced=True)
        now_s = self._clock()
        if self._hole_since_s is None:
            self._hole_since_s = now_s
        if now_s - self._hole_since_s < self._patience_s:
            return None
        return self._skip(announced_from, announced=False)

    def _skip(self, to: int, *, announced: bool) -> Missing:
        missing = Missing(self._next, to - 1, announced)
        self._go_on_at(to)
        return missing

    def _go_on_at(self, sequence: int) -> None:
        self._next, self._hole_since_s = sequence, None
