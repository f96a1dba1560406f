from __future__ import annotations

import pytest

from livestar.core.backoff import Backoff

pytestmark = pytest.mark.unit


def test_pauses_double_up_to_a_limit_and_begin_again_after_a_reset() -> None:
    backoff = Backoff(first_s=1, max_s=4)
    for due_s in (1, 2, 4, 4):
        assert due_s / 2 <= backoff.pause_s() <= due_s
    backoff.reset()
    assert backoff.pause_s() <= 1
