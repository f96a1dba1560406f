"""What happens when the network says nothing, or nothing finite."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from fakes.engine import STREAM, TinyNetwork, run
from livestar.core.decision import Action, Decision, Ending, Rule
from livestar.engine import Engine, GateSettings, Mode, StreamSettings
from livestar.model import LiveStarModel

pytestmark = pytest.mark.integration

MODES = list(Mode)


class Scripted:
    """Bends a network's logits while a switch is on."""

    def __init__(self, network: TinyNetwork) -> None:
        model = copy.deepcopy(network.model)
        self.bend = lambda logits: logits
        original = LiveStarModel.score
        model.score = lambda hidden: self.bend(original(model, hidden).clone())
        self.network = TinyNetwork(model, network.tokenizer, network.template)
        self.stop = network.template.stop_id

    def always_stops(self, logits: torch.Tensor) -> torch.Tensor:
        logits[:, self.stop] = 1e4
        return logits

    def says_only(self, token: int):
        def bend(logits: torch.Tensor) -> torch.Tensor:
            logits[:, token] = 1e4
            return logits

        return bend

    @staticmethod
    def not_finite(logits: torch.Tensor) -> torch.Tensor:
        return logits * math.nan


@pytest.fixture
def scripted(tiny_network: TinyNetwork) -> Scripted:
    return Scripted(tiny_network)


def watch(engine: Engine, network: TinyNetwork, number: int) -> Decision:
    engine.submit_frame(STREAM, network.frame(number))
    [decision] = [event for event in run(engine) if isinstance(event, Decision)]
    return decision


def opened(scripted: Scripted, mode: Mode, **gate: float) -> Engine:
    engine = scripted.network.engine()
    engine.open_stream(
        STREAM, StreamSettings(mode=mode, gate=GateSettings(**({"alpha": 1.0} | gate)), max_caption_tokens=5)
    )
    return engine


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_caption_is_tried_once_more_with_a_word(scripted, mode):
    engine = opened(scripted, mode)
    scripted.bend = scripted.always_stops
    decision = watch(engine, scripted.network, 1)
    assert decision.action is Action.SPEAK
    if decision.ending is Ending.COMPLETE:
        assert len(decision.token_ids) == 1
        assert decision.text
    else:
        assert decision.ending is Ending.DEGRADED, "a lone space is no caption"


@pytest.mark.parametrize("mode", MODES)
def test_a_caption_without_words_keeps_the_previous_one(scripted, mode):
    engine = opened(scripted, mode, max_silence_s=1.0)
    first = watch(engine, scripted.network, 1)
    assert first.text
    newline = scripted.network.template.newline[0]
    scripted.bend = scripted.says_only(newline)
    second = watch(engine, scripted.network, 2)
    assert (second.action, second.ending) == (Action.SPEAK, Ending.DEGRADED)
    assert second.token_ids == first.token_ids
    scripted.bend = lambda logits: logits
    assert watch(engine, scripted.network, 3).ending in (Ending.COMPLETE, Ending.TRUNCATED)


@pytest.mark.parametrize("mode", MODES)
def test_not_finite_fires_with_an_alarm_and_recovers(scripted, mode):
    engine = opened(scripted, mode)
    first = watch(engine, scripted.network, 1)
    scripted.bend = scripted.not_finite
    second = watch(engine, scripted.network, 2)
    assert (second.action, second.rule, second.ending) == (Action.SPEAK, Rule.NOT_FINITE, Ending.DEGRADED)
    assert math.isnan(second.nll)
    assert second.token_ids == first.token_ids
    scripted.bend = lambda logits: logits
    third = watch(engine, scripted.network, 3)
    assert math.isfinite(third.nll)
    engine.check_integrity()


@pytest.mark.parametrize("mode", MODES)
def test_nothing_to_say_at_the_first_frame_is_tried_again_at_the_next(scripted, mode):
    engine = opened(scripted, mode)
    scripted.bend = scripted.not_finite
    first = watch(engine, scripted.network, 1)
    assert (first.rule, first.ending, first.text) == (Rule.FIRST, Ending.DEGRADED, "")
    scripted.bend = lambda logits: logits
    second = watch(engine, scripted.network, 2)
    assert second.rule is Rule.FIRST
    assert second.text
