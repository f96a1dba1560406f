"""How long to wait before trying again."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass
class Backoff:
    """Pauses that double up to a limit, each shortened at random, so that those who failed together do not return together.

    Attributes:
        first_s: the longest first pause, seconds.
        max_s: the longest pause.
    """

    first_s: float = 0.05
    max_s: float = 2.0

    def __post_init__(self) -> None:
        self._next_s = self.first_s

    def pause_s(self) -> float:
        """The next pause: between half and all of what is due."""
        due_s, self._next_s = self._next_s, min(2 * self._next_s, self.max_s)
        return due_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it

    def reset(self) -> None:
        """It worked: the next pause is the first one."""
        self._next_s = self.first_s
