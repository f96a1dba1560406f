"""Mode `reference` against the published loop, written out as full recomputation over whole token sequences."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
import torch

from fakes.engine import TinyNetwork, narrate
from livestar.core.decision import Action, Ending
from livestar.core.frame import EncodedFrame
from livestar.engine import GateSettings, Mode, StreamSettings
from livestar.model import DenseAttend

pytestmark = pytest.mark.integration


@dataclass
class FullRecompute:
    """The published online loop: the whole dialogue is built and computed anew for every quantity."""

    network: TinyNetwork
    max_new_tokens: int
    penalty: float
    turns: list[tuple[list[EncodedFrame], tuple[int, ...]]] = field(default_factory=list)

    def sequence(self, turns: list[tuple[list[EncodedFrame], tuple[int, ...] | None]]):
        template = self.network.template
        ids: list[int] = list(template.system)
        frames: list[torch.Tensor] = []
        for index, (shown, caption) in enumerate(turns):
            ids += template.user_open
            if index == 0:
                ids += template.task_prompt
            for frame in shown:
                ids += template.frame_line(frame.number)
                frames.append(frame.visual_tokens)
            ids += (*template.turn_close, *template.assistant_open)
            if caption is not None:
                ids += (*caption, *template.turn_close)
        return ids, frames

    @torch.no_grad()
    def logits(self, ids: list[int], frames: list[torch.Tensor]) -> torch.Tensor:
        model = self.network.model
        ids_T = torch.tensor(ids)
        x = model.embed_tokens(ids_T).clone()
        # A placeholder that the network itself says comes after all frames, and shows nothing.
        places = (ids_T == self.network.tokenizer.img_context_id).nonzero()[: 16 * len(frames), 0]
        x[places] = torch.cat(frames)
        return model.score(model.hidden_states(x, torch.arange(len(ids)), DenseAttend()))

    def nll(self, turns, caption: tuple[int, ...]) -> float:
        ids, frames = self.sequence(turns)
        log_probs = self.logits(ids, frames).log_softmax(-1)
        targets = [*caption, self.network.template.stop_id]
        first = len(ids) - len(self.network.template.turn_close) - len(caption) - 1
        return -sum(float(log_probs[first + k, target]) for k, target in enumerate(targets)) / len(targets)

    def generate(self, turns) -> tuple[int, ...]:
        ids, frames = self.sequence(turns)
        new: list[int] = []
        while len(new) < self.max_new_tokens:
            logits = self.logits([*ids, *new], frames)[-1].clone()
            for token in set(new):
                logits[token] = (
                    logits[token] / self.penalty if logits[token] > 0 else logits[token] * self.penalty
                )
            token = int(logits.argmax())
            if token == self.network.template.stop_id:
                break
            new.append(token)
        return tuple(new)

    def respond(self, frame: EncodedFrame) -> tuple[tuple[int, ...], float]:
        history = [(list(shown), caption) for shown, caption in self.turns]
        new = self.generate([*history, ([frame], None)])
        new = tuple(token for token in new if token not in self.network.tokenizer.reserved_ids)
        self.turns.append(([frame], new))
        history = [(list(shown), caption) for shown, caption in self.turns]
        return new, self.nll([*history, ([frame], new)], new)


def published_loop(network: TinyNetwork, frames: list[EncodedFrame], alpha: float, max_new_tokens: int):
    """(action, nll, reference NLL, caption) of every frame."""
    loop = FullRecompute(network, max_new_tokens, penalty=1.05)
    caption, theta = loop.respond(frames[0])
    steps = [(Action.SPEAK, math.nan, theta, caption)]
    for frame in frames[1:]:
        nll = loop.nll([*loop.turns, ([frame], caption)], caption)
        if nll > theta + math.log(alpha):
            caption, theta = loop.respond(frame)
            steps.append((Action.SPEAK, nll, theta, caption))
        else:
            loop.turns[-1][0].append(frame)
            steps.append((Action.SILENT, nll, theta, caption))
    return steps


def settings(alpha: float, max_new_tokens: int) -> StreamSettings:
    return StreamSettings(
        mode=Mode.REFERENCE,
        gate=GateSettings(alpha=alpha),
        max_caption_tokens=max_new_tokens,
        frame_index_limit=None,
        max_trunk_tokens=15_000,
    )


@pytest.mark.parametrize(("seed", "num_frames"), [(0, 60), pytest.param(1, 220, marks=pytest.mark.slow)])
def test_incremental_decisions_equal_a_full_recompute(tiny_network, seed, num_frames):
    frames = [tiny_network.frame(n, seed=seed, scene=n // 4) for n in range(1, num_frames + 1)]
    alpha, max_new_tokens = 1.1, 6
    decisions = narrate(tiny_network, settings(alpha, max_new_tokens), frames)
    expected = published_loop(tiny_network, frames, alpha, max_new_tokens)
    spoken = sum(decision.action is Action.SPEAK for decision in decisions)
    assert num_frames // 10 < spoken < num_frames * 9 // 10, "the trace should both speak and be silent"
    for decision, (action, nll, theta, caption) in zip(decisions, expected, strict=True):
        assert decision.action is action
        assert decision.token_ids == caption
        assert decision.nll == pytest.approx(nll, abs=1e-4, nan_ok=True)
        held = decision.new_reference_nll if action is Action.SPEAK else decision.reference_nll
        assert held == pytest.approx(theta, abs=1e-4)


def test_captions_are_closed_at_the_limit_and_say_so(tiny_network):
    frames = [tiny_network.frame(n) for n in range(1, 4)]
    decisions = narrate(tiny_network, settings(1.0, max_new_tokens=3), frames)
    endings = {decision.ending for decision in decisions if len(decision.token_ids) == 3}
    assert endings <= {Ending.TRUNCATED, Ending.COMPLETE}
    assert Ending.TRUNCATED in endings
