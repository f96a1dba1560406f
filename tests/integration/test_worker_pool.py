from __future__ import annotations

import os

import pytest

from livestar.core.errors import BadVideo, CapacityExceeded
from livestar.evaluation.worker_pool import in_processes

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def double(number: int) -> int:
    return 2 * number


def refuse(number: int) -> int:
    if number == 1:
        raise BadVideo("clip 1 is broken: render it again")
    return number


def die(number: int) -> int:
    os._exit(number)


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_order(processes: int) -> None:
    assert list(in_processes(double, range(9), processes)) == list(range(0, 18, 2))


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_is_the_same_as_without_processes(processes: int) -> None:
    with pytest.raises(BadVideo, match=r"^clip 1 is broken: render it again$"):
        list(in_processes(refuse, range(9), processes))


def test_a_process_that_dies_is_an_error_of_one_sentence() -> None:
    with pytest.raises(CapacityExceeded, match="fewer processes"):
        list(in_processes(die, range(1, 5), 2))
