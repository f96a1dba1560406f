"""Frames between a thread and the loop: none is lost without being counted where it is missing."""

from __future__ import annotations

import threading
import time

import pytest
from services.ingest.inbox import Closed, Ended, Inbox, Taken
from services.ingest.window import Window

from livestar.api.v1 import events_pb2

pytestmark = pytest.mark.unit

END = Ended(events_pb2.END_REASON_SOURCE_ENDED)


def frame(number: int, *, breaks: bool = False) -> Taken:
    return Taken(number, 0, b"", 1, (1, 1), discontinuity=breaks)


def filled(size: int, count: int, *, break_at: int = 0) -> Inbox:
    inbox = Inbox(lambda: None, size)
    for number in range(1, count + 1):
        inbox.put(frame(number, breaks=number == break_at), wait=False)
    return inbox


def everything(inbox: Inbox) -> list[tuple[int, int, bool]]:
    taken = []
    while isinstance(inbox.waiting, Taken):
        item, dropped, broke = inbox.take()
        assert isinstance(item, Taken)
        taken.append((item.pts_ns, dropped, broke))
    return taken


def test_what_fits_is_taken_in_order_and_the_end_comes_last() -> None:
    inbox = filled(3, 2)
    inbox.end(END)
    assert everything(inbox) == [(1, 0, False), (2, 0, False)]
    assert inbox.take() == (END, 0, False)


def test_what_does_not_fit_is_counted_before_the_oldest_that_stays() -> None:
    assert everything(filled(3, 5)) == [(3, 2, False), (4, 0, False), (5, 0, False)]
    assert everything(filled(1, 5)) == [(5, 4, False)]


def test_held_back_only_the_latest_stays() -> None:
    inbox = filled(4, 6, break_at=4)
    inbox.hold()
    inbox.hold()
    assert everything(inbox) == [(6, 5, True)], "and the break that was dropped is told"
    inbox.hold()
    assert inbox.waiting is None


def test_who_waits_for_room_is_let_in_or_sent_away() -> None:
    inbox, left = filled(8, 1), threading.Event()

    def put() -> None:
        inbox.put(frame(2), wait=True)
        try:
            inbox.put(frame(3), wait=True)
        except Closed:
            left.set()

    thread = threading.Thread(target=put)
    thread.start()
    time.sleep(0.05)
    assert inbox.take()[0] == frame(1)
    while inbox.waiting is None:
        time.sleep(0.005)
    assert inbox.waiting == frame(2)
    inbox.close()
    assert left.wait(2)
    thread.join(2)
    with pytest.raises(Closed):
        inbox.put(frame(4), wait=False)
    with pytest.raises(Closed):
        inbox.pause(10)
    assert inbox.waiting is None


def test_a_window_counts_what_is_under_way() -> None:
    window = Window(2, range(5, 6))
    assert window.has_room
    window.add(8, 80)
    assert not window.has_room
    assert window.settle(4) is False
    assert window.settle(7) is True
    assert window.has_room
    assert (len(window), window.oldest_at_ns) == (1, 80)
    assert window.settle(100) is True
    assert window.oldest_at_ns is None
