"""When a decoder has more than its share of the streams, it gives one away: a decoder that joins gets work."""

from __future__ import annotations

import math
import time

from livestar.bus import Directory
from livestar.core.backoff import Backoff
from livestar.core.ids import StreamId

LONGEST_PAUSE_S = 600.0


class Balance:
    """Says when to give a stream away. Its own pace is slow: each move costs a prefill.

    Nobody knows beforehand whether another has room. A stream that comes back says that nobody has: then the pause grows, up to
    ten minutes.

    Args:
        directory: which decoders live.
        pause_s: between two moves; 0: never give one away.
    """

    def __init__(self, directory: Directory, *, pause_s: float) -> None:
        self._directory = directory
        self._pause_s = pause_s
        self._backoff = Backoff(first_s=2 * pause_s, max_s=LONGEST_PAUSE_S)
        self._next_s = time.monotonic() + pause_s
        self._given: StreamId | None = None

    async def has_surplus(self, num_owned: int, num_unfinished: int) -> bool:
        """Whether this decoder should give a stream away now.

        Args:
            num_owned: streams of this decoder.
            num_unfinished: streams of the whole system.

        Raises:
            Unavailable: Redis is away.
        """
        if not self._pause_s or num_owned <= 1 or time.monotonic() < self._next_s:
            return False
        self._next_s = time.monotonic() + self._pause_s
        num_decoders = max(1, len(await self._directory.find("decoder")))
        return num_owned > math.ceil(num_unfinished / num_decoders)

    def gave(self, stream: StreamId) -> None:
        """Notes that a stream is being given away."""
        self._given = stream

    def took(self, stream: StreamId) -> None:
        """Notes that a stream was taken."""
        if stream == self._given:
            self._next_s = time.monotonic() + self._backoff.pause_s()
        elif self._given:
            self._backoff.reset()
        self._given = None
