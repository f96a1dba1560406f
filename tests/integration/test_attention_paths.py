"""Decisions do not depend on which of the two attention paths computed them."""

from __future__ import annotations

import pytest

from fakes.engine import TinyNetwork, narrate
from livestar.core.decision import Action
from livestar.engine import GateSettings, Mode, StreamSettings
from livestar.engine.runner import Runner
from livestar.kv import FoldedAttend, PagedAttend

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(("mode", "alpha"), [(Mode.BRANCH, 6.0), (Mode.REFERENCE, 1.1)])
def test_the_plain_and_the_fast_path_decide_alike(
    tiny_network: TinyNetwork, mode: Mode, alpha: float
) -> None:
    """Over a stream that is long enough to forget: its rows are scattered in the end."""
    settings = StreamSettings(mode=mode, gate=GateSettings(alpha), max_caption_tokens=6, max_trunk_tokens=400)
    frames = [tiny_network.frame(n, seed=3, scene=n // 5) for n in range(1, 41)]
    decisions = []
    for attend in (PagedAttend, FoldedAttend):
        engine = tiny_network.engine()
        engine.runner = Runner(tiny_network.model, engine.pool, attend=attend)
        decisions.append(narrate(tiny_network, settings, frames, engine=engine))
    assert {decision.action for decision in decisions[0]} == {Action.SPEAK, Action.SILENT}
    for plain, fast in zip(*decisions, strict=True):
        assert (fast.action, fast.rule, fast.token_ids) == (plain.action, plain.rule, plain.token_ids)
        assert fast.nll == pytest.approx(plain.nll, abs=1e-4, nan_ok=True)
        assert fast.new_reference_nll == pytest.approx(plain.new_reference_nll, abs=1e-4, nan_ok=True)
