"""Mode `branch` against training: the same likelihoods as one dense forward under SCAM's mask and positions."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch

from fakes.engine import TinyNetwork, narrate
from livestar.core.decision import Action, Decision, Rule
from livestar.core.frame import EncodedFrame
from livestar.engine import GateSettings, StreamSettings
from livestar.model import DenseAttend
from livestar.training.scam import ScamVariant, Segment, dense_mask, scam_layout

pytestmark = pytest.mark.integration

MAX_TOKENS = 6


@dataclass
class TrainingSequence:
    """What training packs from a watched stream: every frame's turn, and behind it the caption held at that frame."""

    ids: list[int] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    visual_tokens: list[torch.Tensor] = field(default_factory=list)
    scored: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)

    def add(self, ids: tuple[int, ...], kind: str, clip: int | None) -> None:
        self.ids += ids
        self.segments.append(Segment(kind, len(ids), clip))

    @classmethod
    def of(
        cls, network: TinyNetwork, frames: list[EncodedFrame], decisions: list[Decision]
    ) -> TrainingSequence:
        template, sequence = network.template, cls()
        sequence.add(template.system, "trunk", None)
        for frame, decision in zip(frames, decisions, strict=True):
            prompt = template.task_prompt if frame.number == 1 else ()
            line = template.frame_line((frame.number - 1) % 999 + 1)
            sequence.add((*template.user_open, *prompt, *line, *template.turn_close), "trunk", decision.clip)
            sequence.visual_tokens.append(frame.visual_tokens)
            sequence.scored.append((len(sequence.ids) + len(template.assistant_open) - 1, decision.token_ids))
            leaf = (*template.assistant_open, *decision.token_ids, *template.turn_close)
            sequence.add(leaf, "leaf", decision.clip)
        return sequence

    @torch.no_grad()
    def caption_nlls(self, network: TinyNetwork, variant: ScamVariant) -> list[float]:
        layout = scam_layout(self.segments, variant)
        ids_T = torch.tensor(self.ids)
        x = network.model.embed_tokens(ids_T).clone()
        x[ids_T == network.tokenizer.img_context_id] = torch.cat(self.visual_tokens)
        mask = dense_mask(layout.vis_until)[None, None]
        hidden = network.model.hidden_states(x[None], layout.position_ids[None], DenseAttend(mask))[0]
        log_probs = network.model.score(hidden).log_softmax(-1)
        stop = network.template.stop_id
        return [
            -float(log_probs[range(at, at + len(ids) + 1), [*ids, stop]].mean()) for at, ids in self.scored
        ]


def settings(*, terminal_captions: bool, alpha: float = 6.0) -> StreamSettings:
    return StreamSettings(
        gate=GateSettings(alpha=alpha),
        terminal_captions=terminal_captions,
        max_caption_tokens=MAX_TOKENS,
        max_trunk_tokens=12_000,
    )


@pytest.mark.parametrize(("variant", "terminal_captions"), [("paper", True), ("released", False)])
@pytest.mark.parametrize("num_frames", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_likelihoods_equal_the_dense_training_forward(tiny_network, variant, terminal_captions, num_frames):
    frames = [tiny_network.frame(n, seed=3, scene=n // 5) for n in range(1, num_frames + 1)]
    decisions = narrate(tiny_network, settings(terminal_captions=terminal_captions), frames)
    actions = [decision.action for decision in decisions]
    assert actions.count(Action.SPEAK) > 3
    assert actions.count(Action.SILENT) > 3
    dense = TrainingSequence.of(tiny_network, frames, decisions).caption_nlls(tiny_network, variant)
    for decision, nll in zip(decisions, dense, strict=True):
        held = decision.new_reference_nll if decision.action is Action.SPEAK else decision.nll
        assert held == pytest.approx(nll, abs=1e-4), f"frame {decision.frame}"


def test_the_gate_compares_with_the_reference_of_the_generation(tiny_network):
    frames = [tiny_network.frame(n, seed=5, scene=n // 5) for n in range(1, 41)]
    decisions = narrate(tiny_network, settings(terminal_captions=True), frames)
    reference = float("nan")
    for decision in decisions:
        if decision.rule is not Rule.FIRST:
            assert decision.reference_nll == reference
            assert (decision.action is Action.SPEAK) == (decision.perplexity > decision.threshold)
        if decision.action is Action.SPEAK:
            reference = decision.new_reference_nll


def test_clips_count_up_with_every_caption(tiny_network):
    frames = [tiny_network.frame(n, seed=5, scene=n // 5) for n in range(1, 31)]
    decisions = narrate(tiny_network, settings(terminal_captions=True), frames)
    spoken = 0
    for decision in decisions:
        spoken += decision.action is Action.SPEAK
        assert decision.clip == spoken
