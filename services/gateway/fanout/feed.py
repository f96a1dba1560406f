"""What one stream says: its newest events, and who listens."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from livestar.api.v1 import common_pb2
from livestar.core.errors import LiveStarError
from livestar.core.ids import StreamId
from services.gateway.fanout.subscriber import Subscriber
from services.gateway.fanout.told import Told


class Feed:
    """Holds the events (floor, newest] without holes. Plain values and no waiting; belongs to the hub.

    Args:
        info: the stream when it began to be followed.
        floor: sequence behind which it is read.
        kept: most events held.

    Attributes:
        stream: the stream.
        created_at_ns: tells it from a later stream of the same name.
        floor: sequence before the oldest event that is held.
        newest: the last sequence that was read.
        last_at_s: when something came last, on the hub's clock.
        last_heard_s: when somebody came or left last, likewise.
        final: the event that says that the stream is over.
    """

    def __init__(self, info: common_pb2.StreamInfo, *, floor: int, kept: int, now_s: float) -> None:
        self.stream = StreamId(info.spec.stream_id)
        self.created_at_ns: int = info.created_at_ns
        self.floor = floor
        self.newest = floor
        self.last_at_s = now_s
        self.last_heard_s = now_s
        self.final: Told | None = None
        self._kept = kept
        self._held: deque[Told] = deque()
        self._subscribers: set[Subscriber] = set()

    @property
    def num_subscribers(self) -> int:
        """How many listen now."""
        return len(self._subscribers)

    def since(self, after: int) -> Sequence[Told] | None:
        """The held events behind a cursor; None: some of them are not held any more."""
        if after < self.floor:
            return None
        return [told for told in self._held if told.sequence > after]

    def join(self, subscriber: Subscriber) -> None:
        """Tells this subscriber whatever comes from now on."""
        if self.final:
            subscriber.end()
        else:
            self._subscribers.add(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Tells it nothing more; may be called again."""
        self._subscribers.discard(subscriber)

    def take(self, told: Told, now_s: float) -> tuple[int, int]:
        """The next event. One that was taken before changes nothing.

        Returns:
            how many subscribers were told that events are missing, and how many were left behind.
        """
        if told.sequence <= self.newest:
            return 0, 0
        gaps = behind = 0
        if told.sequence > self.newest + 1:
            gaps = len(self._subscribers)
            behind += self.tell(Told.gap(self.stream, self.newest, told.sequence))
            self._held.clear()
            self.floor = told.sequence - 1
        self.newest, self.last_at_s = told.sequence, now_s
        self._held.append(told)
        if len(self._held) > self._kept:
            self.floor = self._held.popleft().sequence
        behind += self.tell(told)
        if told.is_final:
            self.finish(told)
        return gaps, behind

    def tell(self, told: Told) -> int:
        """Tells everybody who listens now; returns how many were left behind."""
        behind = [subscriber for subscriber in self._subscribers if not subscriber.offer(told)]
        self._subscribers.difference_update(behind)
        return len(behind)

    def finish(self, final: Told) -> None:
        """The stream is over: everybody goes when they have heard what there is."""
        self.final = final
        self.end()

    def end(self, error: LiveStarError | None = None) -> None:
        """Sends everybody away."""
        for subscriber in self._subscribers:
            subscriber.end(error)
        self._subscribers.clear()
