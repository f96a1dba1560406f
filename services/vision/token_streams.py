"""Which streams want tokens, and how many of them are kept."""

from __future__ import annotations

import time

from livestar.bus import Registry
from livestar.core.errors import NotFound
from livestar.core.ids import StreamId

LENGTH = 4
"""Tokens are kept for so many times the frames that may be under way."""

REMEMBER_S = 2.0
"""How long an answer of the registry is believed: a stream that was deleted gets no more tokens afterwards."""

MAX_REMEMBERED = 10_000


class TokenStreams:
    """Asks the registry, now and then. Belongs to the event loop."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[StreamId, tuple[float, int | None]] = {}

    async def max_entries(self, stream: StreamId) -> int | None:
        """The bound of `tokens:{stream}`; None: there is no such stream any more.

        Raises:
            Unavailable: Redis is away.
        """
        until_s, entries = self._known.get(stream, (0.0, None))
        if time.monotonic() >= until_s:
            entries = await self._ask(stream)
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[stream] = (time.monotonic() + REMEMBER_S, entries)
        return entries

    async def _ask(self, stream: StreamId) -> int | None:
        try:
            info = await self._registry.get(stream)
        except NotFound:
            return None
        return LENGTH * (info.spec.max_in_flight or 8)
