"""One who listens: a bounded queue, and how it ended."""

from __future__ import annotations

import asyncio
from collections import deque

from livestar.core.errors import CapacityExceeded, LiveStarError
from services.gateway.fanout.told import Told


class Subscriber:
    """Filled by the feed, emptied by the subscription; the feed never waits for it.

    Args:
        max_queue: events that may wait.
        speech_only: leave out chatter.
    """

    def __init__(self, *, max_queue: int, speech_only: bool) -> None:
        self._max_queue = max_queue
        self._speech_only = speech_only
        self._queue: deque[Told] = deque()
        self._wake = asyncio.Event()
        self._over = False
        self._error: LiveStarError | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more is taken."""
        return self._over

    def wants(self, told: Told) -> bool:
        """Whether it listens to this."""
        return not (self._speech_only and told.is_chatter)

    def offer(self, told: Told) -> bool:
        """Puts an event into the queue; False: it is full, and this subscriber is told so and left behind."""
        if self._over:
            return False
        if not self.wants(told):
            return True
        if len(self._queue) >= self._max_queue:
            self.end(CapacityExceeded("you did not keep up: resume behind the last event that you saw"))
            return False
        self._queue.append(told)
        self._wake.set()
        return True

    def end(self, error: LiveStarError | None = None) -> None:
        """Nothing more will come; None: because the stream is over."""
        if not self._over:
            self._over, self._error = True, error
            self._wake.set()

    async def next(self, timeout_s: float) -> Told | None:
        """The next event; None: none within `timeout_s`.

        Raises:
            StopAsyncIteration: the stream is over.
            LiveStarError: why the subscription is over; what was in the queue has been given out before.
        """
        if not self._queue and not self._over:
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
            except TimeoutError:
                return None
        if self._queue:
            return self._queue.popleft()
        if self._error:
            raise self._error
        raise StopAsyncIteration
