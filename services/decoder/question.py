"""One question from when it is asked to its answer, as its caller sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from livestar.api.v1.decoder_pb2 import AskResponse
from livestar.api.v1.events_pb2 import StreamEvent
from livestar.core.errors import LiveStarError


class Question:
    """Holds what came until its caller reads it: one answer and its pieces at most, which max_caption_tokens bounds.

    Attributes:
        gone: its caller has hung up.
        answered: the last word has come.
    """

    def __init__(self) -> None:
        self.gone = False
        self.answered = False
        self._responses: asyncio.Queue[AskResponse | LiveStarError] = asyncio.Queue()

    def tell(self, event: StreamEvent) -> None:
        """Takes an event about this question."""
        response = AskResponse(frame_sequence=event.frame_sequence, pts_ns=event.pts_ns)
        if event.HasField("question"):
            response.asked.CopyFrom(event.question)
        elif event.HasField("text_piece"):
            response.piece = event.text_piece.text
        else:
            response.answer.CopyFrom(event.answer)
            self.answered = True
        self._responses.put_nowait(response)

    def fail(self, error: LiveStarError) -> None:
        """There will be no answer."""
        self.answered = True
        self._responses.put_nowait(error)

    async def responses(self) -> AsyncIterator[AskResponse]:
        """What came, as it comes; ends with the answer.

        Raises:
            LiveStarError: there will be none.
        """
        while not (self.answered and self._responses.empty()):
            response = await self._responses.get()
            if isinstance(response, LiveStarError):
                raise response
            yield response
