"""Ends a streaming call whose reader has seen enough."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

AnswerT_co = TypeVar("AnswerT_co", covariant=True)


class StreamCall(Protocol[AnswerT_co]):
    """A call whose answer streams, as a stub returns it."""

    def __aiter__(self) -> AsyncIterator[AnswerT_co]: ...

    def cancel(self) -> bool:
        """Hangs up."""
        ...


@asynccontextmanager
async def answers(call: StreamCall[AnswerT_co]) -> AsyncIterator[AsyncIterator[AnswerT_co]]:
    """Reads the answers within `async with`; leaving the block hangs up, however it is left.

    `async with answers(stub.Ask(request)) as pieces: async for piece in pieces: …`
    """
    try:
        yield call.__aiter__()
    finally:
        call.cancel()
