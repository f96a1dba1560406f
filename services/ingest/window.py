"""The frames of one stream that are under way: published, and not yet settled by memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable


class Window:
    """Counts frames under way. Belongs to the event loop.

    Args:
        size: most frames under way.
        under_way: sequences that another process has published already.
    """

    def __init__(self, size: int, under_way: Iterable[int] = ()) -> None:
        self._size = size
        self._frames = deque((sequence, time.time_ns()) for sequence in under_way)

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def has_room(self) -> bool:
        """Whether another frame may be published."""
        return len(self._frames) < self._size

    @property
    def oldest_at_ns(self) -> int | None:
        """When the oldest frame under way was captured; None: there is none."""
        return self._frames[0][1] if self._frames else None

    def add(self, sequence: int, captured_at_ns: int) -> None:
        """This frame was published."""
        self._frames.append((sequence, captured_at_ns))

    def settle(self, sequence: int) -> bool:
        """Every frame up to this one is decided, dropped or lost; returns whether that is news."""
        before = len(self._frames)
        while self._frames and self._frames[0][0] <= sequence:
            self._frames.popleft()
        return len(self._frames) < before
