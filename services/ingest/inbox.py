"""Where a reading thread leaves frames for the event loop: room for a few, and a rule for when there are more."""

from __future__ import annotations

import threading
from collections import deque
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


@dataclass
class _Entry:
    frame: Taken
    dropped: int = 0
    broke: bool = False


class Inbox:
    """A few frames, and the end. One thread puts, the event loop takes.

    A source may send in bursts (the segments of HLS): they are taken in as they are, as long as there is somewhere to go with
    them. When there is not (`hold`), only the latest frame is kept.

    Args:
        news: called from the thread when there is something to take; hands over to the loop.
        size: most frames that wait.
    """

    def __init__(self, news: Callable[[], None], size: int) -> None:
        self._news = news
        self._size = size
        self._changed = threading.Condition()
        self._entries: deque[_Entry] = deque()
        self._end: Ended | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the reader has to leave."""
        return self._closed

    def put(self, frame: Taken, *, wait: bool) -> None:
        """Leaves a frame; when there are too many: waits for one to be taken, or drops the oldest, which is counted.

        Raises:
            Closed: nobody takes frames any more.
        """
        with self._changed:
            while wait and self._entries and not self._closed:
                self._changed.wait()
            if self._closed:
                raise Closed
            self._entries.append(_Entry(frame))
            self._drop_to(self._size)
        self._news()

    def end(self, ended: Ended) -> None:
        """Leaves the end, behind the frames that may wait."""
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
        with self._changed:
            return self._entries[0].frame if self._entries else self._end

    def hold(self) -> None:
        """There is nowhere to go with frames: keeps the latest one only."""
        with self._changed:
            self._drop_to(1)

    def take(self) -> tuple[Taken | Ended, int, bool]:
        """What is there, how many frames right before it were dropped, and whether one of them broke the continuity.

        Frames come before the end. Call it only when something waits.
        """
        with self._changed:
            if self._entries:
                entry = self._entries.popleft()
                self._changed.notify_all()
                return entry.frame, entry.dropped, entry.broke
            assert self._end, "nothing to take"
            return self._end, 0, False

    def close(self) -> None:
        """The reader leaves as soon as it looks; frames that wait are not taken."""
        with self._changed:
            self._closed = True
            self._entries.clear()
            self._changed.notify_all()

    def _drop_to(self, size: int) -> None:
        while len(self._entries) > size:
            gone, heir = self._entries.popleft(), self._entries[0]
            heir.dropped += gone.dropped + 1
            heir.broke |= gone.broke or gone.frame.discontinuity
