"""Turns token ids into `TextPiece` events as they come."""

from __future__ import annotations

from livestar.core.decision import TextPiece
from livestar.core.frame import Moment
from livestar.core.ids import ChannelId, QuestionId
from livestar.engine.state import StreamState
from livestar.model import StreamingDecoder


class TextSink:
    """Holds incomplete characters back until they are whole, or until the text ends."""

    def __init__(self, state: StreamState, source: ChannelId | QuestionId, frame: Moment) -> None:
        self._state = state
        self._source = source
        self._frame = frame
        self._decoder = StreamingDecoder(state.tokenizer)

    def take(self, token: int) -> None:
        """Takes the next id."""
        self._emit(self._decoder.push(token))

    def finish(self) -> None:
        """Emits what was held back."""
        self._emit(self._decoder.finish())

    def _emit(self, text: str) -> None:
        if text:
            self._state.emit(TextPiece(self._state.id, self._source, self._frame.number, text))
