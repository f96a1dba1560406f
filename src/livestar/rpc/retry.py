"""Tries again what may succeed later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from livestar.core.backoff import Backoff
from livestar.core.errors import LiveStarError

T = TypeVar("T")


async def retrying(
    call: Callable[[], Awaitable[T]], *, give_up_s: float, backoff: Backoff | None = None
) -> T:
    """Awaits `call()`, again and again while it fails with a retryable error, for `give_up_s` seconds at most.

    Raises:
        LiveStarError: the last error, when it is not retryable or time is over.
    """
    backoff = backoff or Backoff()
    give_up_at = asyncio.get_running_loop().time() + give_up_s
    while True:
        try:
            return await call()
        except LiveStarError as error:
            pause_s = backoff.pause_s()
            if not error.retryable or asyncio.get_running_loop().time() + pause_s > give_up_at:
                raise
        await asyncio.sleep(pause_s)
