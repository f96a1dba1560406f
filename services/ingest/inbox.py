"""Where a reading thread leaves frames for the event loop: room for one, and a rule for when it is taken."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from livestar.api.v1 import events_pb2
from livestar.core.errors import LiveStarError


@dataclass(frozen=True)
class Taken:
    """A frame as it was read.

    Attributes:
        pts_ns: of the stream.
        captured_at_ns: Unix time.
        data: the encoded image.
        side: of the encoded image, pixels.
        source_size: width and height of the source, pixels.
        discontinuity: does not follow on from the frame before.
    """

    pts_ns: int
    captured_at_ns: int
    data: bytes
    side: int
    source_size: tuple[int, int]
    discontinuity: bool


@dataclass(frozen=True)
class Ended:
    """No more frames come.

    Attributes:
        reason: why.
        error: what went wrong, when it failed.
    """

    reason: events_pb2.EndReason.ValueType
    error: LiveStarError | None = None


class Closed(Exception):
    """Nobody takes frames any more: the reader leaves."""


class Inbox:
    """One frame, or the end. One thread puts, the event loop takes.

    Args:
        news: called from the thread when there is something to take; hands over to the loop.
    """

    def __init__(self, news: Callable[[], None]) -> None:
        self._news = news
        self._changed = threading.Condition()
        self._frame: Taken | None = None
        self._end: Ended | None = None
        self._dropped = 0
        self._discontinuity = False
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the reader has to leave."""
        return self._closed

    def put(self, frame: Taken, *, wait: bool) -> None:
        """Leaves a frame. When there is one already: waits for it to be taken, or replaces it, which counts as dropped.

        Raises:
            Closed: nobody takes frames any more.
        """
        with self._changed:
            while wait and self._frame and not self._closed:
                self._changed.wait()
            if self._closed:
                raise Closed
            if self._frame:
                self._dropped += 1
                self._discontinuity |= self._frame.discontinuity
            self._frame = frame
        self._news()

    def end(self, ended: Ended) -> None:
        """Leaves the end, behind the frame that may wait."""
        with self._changed:
            self._end = ended
        self._news()

    def pause(self, seconds: float) -> None:
        """Returns `seconds` later.

        Raises:
            Closed: nobody takes frames any more; at once.
        """
        with self._changed:
            if not self._closed:
                self._changed.wait_for(lambda: self._closed, max(0.0, seconds))
            if self._closed:
                raise Closed

    @property
    def waiting(self) -> Taken | Ended | None:
        """What `take` would give."""
        return self._frame or self._end

    def take(self) -> tuple[Taken | Ended, int, bool]:
        """What is there, how many frames right before it were dropped, and whether one of them broke the continuity.

        A frame comes before the end. Call it only when something waits.
        """
        with self._changed:
            item = self._frame or self._end
            assert item, "nothing to take"
            dropped, self._dropped = self._dropped, 0
            broke, self._discontinuity = self._discontinuity, False
            self._frame = None
            self._changed.notify_all()
        return item, dropped, broke

    def close(self) -> None:
        """The reader leaves as soon as it looks; a frame that waits is not taken."""
        with self._changed:
            self._closed = True
            self._frame = None
            self._changed.notify_all()
