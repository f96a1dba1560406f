"""Ten faults under four live streams; `make chaos` runs more of them under eight."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.account import longest_silence_s, of_stream, of_subscriber
from chaos.faults import WEIGHTS, Kind, schedule
from chaos.listener import Heard, Listener
from chaos.run import Plan, chaos, misses
from livestar.api.v1 import events_pb2

pytestmark = [pytest.mark.e2e]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_is_lost_whatever_dies(tmp_path: Path) -> None:
    told = chaos(Plan(faults=10, seed=11, streams=4, listeners=2, positions="recomputed", folder=tmp_path))
    gaps = ("gap_crash_p95_s", "gap_drain_p95_s")
    # The machine that tests run on is shared: how long it takes is for `make chaos` to say.
    assert not [miss for miss in misses(told) if not miss.startswith(gaps)], told
    assert told["faults"] == 10
    assert told["takeovers"] >= 1
    assert told["decisions"] >= 4 * 60


def decided(sequence: int, frame: int, at_s: float = 0.0) -> Heard:
    body = events_pb2.Decision(channel="narration")
    return Heard(at_s, events_pb2.StreamEvent(sequence=sequence, frame_sequence=frame, decision=body))


def missing(sequence: int, first: int, last: int) -> Heard:
    body = events_pb2.FramesMissing(first_sequence=first, last_sequence=last)
    return Heard(0.0, events_pb2.StreamEvent(sequence=sequence, frames_missing=body))


def test_what_a_subscriber_missed_got_twice_and_late_is_counted() -> None:
    losses = of_subscriber([decided(1, 1), decided(3, 3), decided(3, 3), decided(2, 2)], 5)
    assert (losses.lost, losses.duplicated, losses.reordered) == (2, 1, 1)


def test_a_frame_is_decided_once_or_told_as_missing() -> None:
    heard = [decided(1, 1), missing(2, 2, 3), decided(3, 5), decided(4, 5), decided(5, 4), decided(6, 7)]
    losses = of_stream([one.event for one in heard])
    assert (losses.lost, losses.duplicated, losses.reordered, losses.told_missing) == (1, 1, 1, 2)


def test_silence_is_what_lies_between_two_decisions_around_the_fault() -> None:
    listener = Listener([], "door", 0)
    listener.heard += [decided(n, n, at_s) for n, at_s in enumerate((0, 1, 2, 9, 10, 30))]
    assert longest_silence_s(listener, 2.5, 9.5, 1.0) == 6.0
    assert longest_silence_s(listener, 0.5, 1.5, 1.0) == 0.0


def test_fifty_faults_hold_every_kind_and_a_seed_decides_their_order() -> None:
    deck = schedule(50, 7)
    assert len(deck) == sum(count for _, count in WEIGHTS) == 50
    assert {fault.kind for fault in deck} == set(Kind)
    assert deck == schedule(50, 7) != schedule(50, 8)
    assert sorted(map(str, deck)) == sorted(map(str, schedule(50, 8)))
    assert len(schedule(120, 1)) == 120
