from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fakes.engine import STREAM, TinyNetwork, run
from livestar.core.decision import Action, Answer, Decision
from livestar.core.frame import EncodedFrame
from livestar.engine import GateSettings, StreamSettings
from livestar.model import DenseAttend
from livestar.training.packing import (
    LeafKind,
    Packer,
    Question,
    Sample,
    Watched,
    WatchedFrame,
)
from livestar.training.scam import IGNORED, dense_mask

pytestmark = pytest.mark.unit

QUESTION = "What is the red ball doing?"
CHAIN = ("When did it happen?", "Is it a dog?")


@pytest.fixture(scope="module")
def network(tiny_checkpoint: Path) -> TinyNetwork:
    return TinyNetwork.load(tiny_checkpoint)


@torch.no_grad()
def leaf_nlls(network: TinyNetwork, sample: Sample, visual_tokens: list[torch.Tensor]) -> list[float]:
    """Mean NLL of every leaf's scored tokens in one dense forward."""
    x = network.model.embed_tokens(sample.ids).clone()
    x[sample.ids == network.tokenizer.img_context_id] = torch.cat(visual_tokens)
    attend = DenseAttend(dense_mask(sample.vis_until)[None, None])
    hidden = network.model.hidden_states(x[None], sample.position_ids[None], attend)[0]
    scored = (sample.labels != IGNORED).nonzero().flatten()
    log_probs = network.model.score(hidden[scored - 1]).log_softmax(-1)
    nlls = -log_probs[range(len(scored)), sample.labels[scored]]
    return [float(leaf.mean()) for leaf in nlls.split(sample.leaf_sizes.tolist())]


class Verbatim:
    """A template whose words are ids already, so that generated ids are packed as they are."""

    def __init__(self, network: TinyNetwork) -> None:
        self._template = network.template

    def __getattr__(self, name: str):
        return getattr(self._template, name)

    def text(self, words: str) -> tuple[int, ...]:
        return tuple(map(int, words.split()))


def words(ids: tuple[int, ...]) -> str:
    return " ".join(map(str, ids))


def watched_by_the_engine(
    network: TinyNetwork, frames: list[EncodedFrame], *, terminal_captions: bool
) -> tuple[list[Decision], list[tuple[int, Answer]]]:
    engine = network.engine()
    engine.open_stream(
        STREAM,
        StreamSettings(
            gate=GateSettings(alpha=6.0), terminal_captions=terminal_captions, max_caption_tokens=6
        ),
    )
    decisions, answers = [], []
    for frame in frames:
        engine.submit_frame(STREAM, frame)
        events = run(engine)
        if frame.number == 3:
            engine.stand(STREAM, QUESTION, channel="standing", gate=GateSettings(alpha=6.0))
            events += run(engine)
        if frame.number in (5, 9):
            engine.ask(STREAM, CHAIN[frame.number == 9], chain="chain")
            events += run(engine)
        decisions += [event for event in events if isinstance(event, Decision)]
        answers += [(frame.number, event) for event in events if isinstance(event, Answer)]
    return decisions, answers


@pytest.mark.parametrize(("variant", "terminal_captions"), [("paper", True), ("released", False)])
def test_a_packed_stream_has_the_likelihoods_that_serving_has(network, variant, terminal_captions):
    """Narration, a standing question and a chain of two questions, on one trunk."""
    frames = [network.frame(n, seed=3, scene=n // 5) for n in range(1, 21)]
    decisions, answers = watched_by_the_engine(network, frames, terminal_captions=terminal_captions)
    narration = {d.frame: d for d in decisions if d.channel == "narration"}
    standing = {d.frame: d for d in decisions if d.channel == "standing"}
    assert [d.action for d in narration.values()].count(Action.SPEAK) > 2
    assert len(standing) == 18
    template = Verbatim(network)
    asked = words(network.template.text(QUESTION))
    turns = [
        (words(network.template.text(text)), words(answer.token_ids))
        for text, (_, answer) in zip(CHAIN, answers, strict=True)
    ]
    items = tuple(WatchedFrame(n, d.clip, words(d.token_ids)) for n, d in narration.items())
    questions = [
        (n - 1, Question(LeafKind.STANDING, ((asked, words(d.token_ids)),))) for n, d in standing.items()
    ]
    questions += [
        (n - 1, Question(LeafKind.CHAIN, tuple(turns[: i + 1]))) for i, (n, _) in enumerate(answers)
    ]
    packer = Packer(template, variant=variant, max_tokens=4096)
    sample = packer.pack(Watched(items, from_start=True, questions=tuple(questions)))
    nlls = leaf_nlls(network, sample, [frame.visual_tokens for frame in frames])
    found = {kind: [n for n, k in zip(nlls, sample.leaves, strict=True) if k == kind] for kind in LeafKind}
    for kind, expected in ((LeafKind.CAPTION, narration), (LeafKind.STANDING, standing)):
        for decision, nll in zip(expected.values(), found[kind], strict=True):
            held = decision.new_reference_nll if decision.action is Action.SPEAK else decision.nll
            assert held == pytest.approx(nll, abs=1e-4), f"{kind.name} at frame {decision.frame}"
    assert len(found[LeafKind.CHAIN]) == 2


def test_an_answer_of_a_chain_is_the_likeliest_one_where_serving_gave_it(network):
    """Greedy decoding without a penalty: every token that serving chose is the packed forward's argmax."""
    frames = [network.frame(n, seed=4, scene=n // 3) for n in range(1, 10)]
    engine = network.engine()
    engine.open_stream(STREAM, StreamSettings(max_caption_tokens=6, repetition_penalty=1.0))
    narration, answers = [], []
    for frame in frames:
        engine.submit_frame(STREAM, frame)
        narration += [e for e in run(engine) if isinstance(e, Decision)]
        if frame.number in (5, 9):
            engine.ask(STREAM, CHAIN[frame.number == 9])
            answers += [e for e in run(engine) if isinstance(e, Answer)]
    turns = [
        (words(network.template.text(text)), words(answer.token_ids))
        for text, answer in zip(CHAIN, answers, strict=True)
    ]
    items = tuple(WatchedFrame(d.frame, d.clip, words(d.token_ids)) for d in narration)
    questions = ((4, Question(LeafKind.CHAIN, (turns[0],))), (8, Question(LeafKind.CHAIN, tuple(turns))))
    sample = Packer(Verbatim(network)).pack(Watched(items, from_start=True, questions=questions))
    x = network.model.embed_tokens(sample.ids).clone()
    x[sample.ids == network.tokenizer.img_context_id] = torch.cat([f.visual_tokens for f in frames])
    attend = DenseAttend(dense_mask(sample.vis_until)[None, None])
    with torch.no_grad():
        hidden = network.model.hidden_states(x[None], sample.position_ids[None], attend)[0]
    scored = (sample.labels != IGNORED).nonzero().flatten()
    logits = network.model.score(hidden[scored - 1])
    logits[:, sorted(network.tokenizer.reserved_ids - {network.template.stop_id})] = -torch.inf
    leaves = logits.argmax(-1).split(sample.leaf_sizes.tolist())
    chains = [leaf for leaf, kind in zip(leaves, sample.leaves, strict=True) if kind == LeafKind.CHAIN]
    for leaf, answer in zip(chains, answers, strict=True):
        assert tuple(leaf.tolist())[: len(answer.token_ids)] == answer.token_ids
