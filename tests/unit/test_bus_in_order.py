"""Whatever the bus does to messages, they come out in order, once, with what is missing between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestar.bus import InOrder, Missing

pytestmark = pytest.mark.unit


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def drained(order: InOrder[str]) -> list[str | Missing]:
    taken: list[str | Missing] = []
    while (item := order.take()) is not None:
        taken.append(item)
    return taken


def test_in_order_and_once() -> None:
    order = InOrder[str](patience_s=1.0)
    assert [order.put(n, f"{n}") for n in (2, 1, 2, 1, 3)] == [True, True, False, False, True]
    assert drained(order) == ["1", "2", "3"]
    assert not order.put(2, "again")
    assert order.num_waiting == 0


def test_it_goes_on_behind_what_was_settled() -> None:
    order = InOrder[str](after=7, epoch=3, patience_s=1.0)
    assert not order.put(7, "old", epoch=3)
    assert not order.put(8, "of an owner whose time was over", epoch=2)
    assert order.put(8, "next", epoch=3)
    assert drained(order) == ["next"]


def test_an_announced_hole_is_not_waited_for() -> None:
    order = InOrder[str](patience_s=1e9)
    order.put(4, "4", dropped_before=3)
    order.put(6, "6", dropped_before=1)
    assert drained(order) == [Missing(1, 3, announced=True), "4", Missing(5, 5, announced=True), "6"]


def test_a_hole_that_nobody_announced_is_waited_for_and_then_lost() -> None:
    clock = Clock()
    order = InOrder[str](patience_s=2.0, clock=clock)
    order.put(1, "1")
    order.put(6, "6", dropped_before=2)
    assert drained(order) == ["1"]
    clock.now_s = 1.9
    assert drained(order) == []
    order.put(2, "2")
    assert drained(order) == ["2"]
    clock.now_s = 3.8
    assert drained(order) == [], "what is left of the hole gets its own time"
    clock.now_s = 3.9
    assert drained(order) == [Missing(3, 3, announced=False), Missing(4, 5, announced=True), "6"]
    assert not order.put(3, "too late")


def test_a_newer_epoch_takes_over_from_its_first_sequence_on() -> None:
    order = InOrder[str](patience_s=1.0)
    order.put(1, "1", epoch=1)
    order.put(4, "4 of the old", epoch=1)
    order.put(3, "3 of the new", epoch=2)
    assert not order.put(5, "5 of the old", epoch=1)
    assert order.put(2, "2 of the old, late", epoch=1)
    assert order.put(4, "4 of the new", epoch=2)
    assert drained(order) == ["1", "2 of the old, late", "3 of the new", "4 of the new"]


@given(
    st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=80),
    st.sets(st.integers(1, 30)),
)
def test_every_sequence_comes_once_or_is_missing(arrivals: list[tuple[int, bool]], never: set[int]) -> None:
    clock = Clock()
    order = InOrder[int](patience_s=1.0, clock=clock)
    taken: list[int | Missing] = []
    for sequence, look in arrivals:
        if sequence not in never:
            order.put(sequence, sequence)
        while look and (item := order.take()) is not None:
            taken.append(item)
    while order.num_waiting:
        clock.now_s += 2.0
        while (item := order.take()) is not None:
            taken.append(item)
    spelt = [n for i in taken for n in ([i] if isinstance(i, int) else range(i.first, i.last + 1))]
    assert spelt == list(range(1, len(spelt) + 1))
    came = {item for item in taken if isinstance(item, int)}
    assert came == {sequence for sequence, _ in arrivals} - never
