from __future__ import annotations

import math

import pytest

from livestar.engine import GateSettings, StreamSettings

pytestmark = pytest.mark.unit


def test_questions_have_the_gate_of_the_narration_but_for_their_own_alpha() -> None:
    gate = GateSettings(alpha=1.25, min_gap_s=3.0, hysteresis=True)
    assert StreamSettings(gate=gate).question_gate == gate
    assert StreamSettings(gate=gate, question_alpha=2.0).question_gate == GateSettings(
        2.0, 3.0, hysteresis=True
    )


@pytest.mark.parametrize("alpha", [0.99, math.nan, math.inf])
def test_an_alpha_of_questions_that_cannot_work_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="question_alpha is at least 1"):
        StreamSettings(question_alpha=alpha)
