"""Baselines are served as they were trained: the same likelihoods as one dense forward over the packed sequence."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fakes.engine import TinyNetwork, narrate
from livestar.core.decision import Action, Decision
from livestar.core.frame import EncodedFrame
from livestar.engine import GateSettings, Mode, StreamSettings
from livestar.evaluation.baseline_serving import Serving, online_settings, serve, servings, stream_settings
from livestar.evaluation.baseline_watch import Heard, OnlineSettings, OnlineStream
from livestar.evaluation.synth_annotations import annotate
from livestar.model import DenseAttend, LoadedModel
from livestar.synth import make_clip
from livestar.training.baseline_packing import CausalPacker, OnlinePacker, RecentPacker
from livestar.training.packing import Sample, Watched, WatchedFrame
from livestar.training.scam import IGNORED, dense_mask

pytestmark = pytest.mark.integration

MAX_TOKENS = 6


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


@torch.no_grad()
def logits(network: TinyNetwork, sample: Sample, frames: list[EncodedFrame]) -> torch.Tensor:
    """[T, V] of one dense forward."""
    x = network.model.embed_tokens(sample.ids).clone()
    x[sample.ids == network.tokenizer.img_context_id] = torch.cat([f.visual_tokens for f in frames])
    attend = DenseAttend(dense_mask(sample.vis_until)[None, None])
    return network.model.score(network.model.hidden_states(x[None], sample.position_ids[None], attend)[0])


def leaf_nlls(network: TinyNetwork, sample: Sample, frames: list[EncodedFrame]) -> list[float]:
    scored = (sample.labels != IGNORED).nonzero().flatten()
    log_probs = logits(network, sample, frames)[scored - 1].log_softmax(-1)
    nlls = -log_probs[range(len(scored)), sample.labels[scored]]
    return [float(leaf.mean()) for leaf in nlls.split(sample.leaf_sizes.tolist())]


def packed(packer, decisions: list[Decision]) -> Sample:
    items = tuple(WatchedFrame(d.frame, d.clip, words(d.token_ids)) for d in decisions)
    return packer.pack(Watched(items, from_start=True))


def held_nll(decision: Decision) -> float:
    return decision.new_reference_nll if decision.action is Action.SPEAK else decision.nll


@pytest.mark.parametrize("num_frames", [30, pytest.param(120, marks=pytest.mark.slow)])
def test_a_window_of_recent_frames_slides_as_in_training(tiny_network, num_frames):
    frames = [tiny_network.frame(n, seed=3, scene=n // 5) for n in range(1, num_frames + 1)]
    settings = replace(
        stream_settings(Serving("recent", 4.0, Mode.BRANCH), 12_000), max_caption_tokens=MAX_TOKENS
    )
    decisions = narrate(tiny_network, settings, frames)
    actions = [decision.action for decision in decisions]
    assert actions.count(Action.SPEAK) > 2
    assert actions.count(Action.SILENT) > 2
    packer = RecentPacker(Verbatim(tiny_network), num_frames=4, max_tokens=12_000)
    dense = leaf_nlls(tiny_network, packed(packer, decisions), frames)
    assert len(dense) == num_frames
    for decision, nll in zip(decisions, dense, strict=True):
        assert held_nll(decision) == pytest.approx(nll, abs=1e-4), f"frame {decision.frame}"
    # A wider window gives other likelihoods: the test could fail.
    wider = packed(RecentPacker(Verbatim(tiny_network), num_frames=5, max_tokens=12_000), decisions)
    assert abs(leaf_nlls(tiny_network, wider, frames)[-1] - dense[-1]) > 1e-4


def test_a_stream_that_speaks_at_every_frame_is_the_causal_training_sequence(tiny_network):
    """In mode `branch` an ended clip's caption stays in plain sight: where every frame ends one, nothing is hidden."""
    frames = [tiny_network.frame(n, seed=3) for n in range(1, 13)]
    settings = StreamSettings(
        gate=GateSettings(alpha=1.03, max_silence_s=0.5),
        max_caption_tokens=MAX_TOKENS,
        max_trunk_tokens=12_000,
    )
    decisions = narrate(tiny_network, settings, frames)
    assert {decision.action for decision in decisions} == {Action.SPEAK}
    packer = CausalPacker(Verbatim(tiny_network), max_tokens=12_000)
    dense = leaf_nlls(tiny_network, packed(packer, decisions), frames)
    for decision, nll in zip(decisions, dense, strict=True):
        assert decision.new_reference_nll == pytest.approx(nll, abs=1e-4), f"frame {decision.frame}"


def listen(network: TinyNetwork, frames: list[EncodedFrame], settings: OnlineSettings) -> list[Heard]:
    stream = OnlineStream(LoadedModel(network.model, network.tokenizer, network.template), settings)
    return [stream.watch(frame.visual_tokens) for frame in frames]


def settings_for(network: TinyNetwork, method: str, threshold: float) -> OnlineSettings:
    model = LoadedModel(network.model, network.tokenizer, network.template)
    settings = online_settings(model, Serving(method, threshold, None))
    return replace(settings, max_caption_tokens=MAX_TOKENS, repetition_penalty=1.0)


@pytest.mark.parametrize("method", ["eos", "head"])
def test_online_decisions_equal_a_full_recompute_with_the_training_masks(tiny_network, method):
    frames = [tiny_network.frame(n, seed=7, scene=n // 3) for n in range(1, 31)]
    silences = sorted(
        heard.silence for heard in listen(tiny_network, frames, settings_for(tiny_network, method, 0.0))
    )
    settings = settings_for(tiny_network, method, silences[len(silences) // 2])
    heard = listen(tiny_network, frames, settings)
    spoken = [each.ids for each in heard if each.ids is not None]
    assert 3 < len(spoken) < 27
    event, items = -1, []
    for number, each in enumerate(heard, start=1):
        event += each.ids is not None
        items.append(WatchedFrame(number, event, words(spoken[event]), is_onset=each.ids is not None))
    sample = OnlinePacker(Verbatim(tiny_network), max_tokens=12_000).pack(
        Watched(tuple(items), from_start=True)
    )
    dense = logits(tiny_network, sample, frames)
    for number, (each, (row, speaks)) in enumerate(zip(heard, sample.decisions.tolist(), strict=True)):
        silence = settings.silence(dense[row])
        assert each.silence == pytest.approx(silence, abs=1e-4), f"frame {number + 1}"
        assert speaks == (number == 0 or silence < settings.threshold)
    forbidden = sorted(tiny_network.tokenizer.reserved_ids - {tiny_network.template.stop_id})
    dense[:, forbidden] = -torch.inf
    scored = (sample.labels != IGNORED).nonzero().flatten()
    starts = {0, *sample.leaf_sizes.cumsum(0).tolist()}
    for k, at in enumerate(scored.tolist()):
        label, row = int(sample.labels[at]), dense[at - 1].clone()
        if k in starts:
            row[tiny_network.template.stop_id] = -torch.inf  # nobody says nothing
        if label != tiny_network.template.stop_id:  # a caption may also have been closed at its limit
            assert int(row.argmax()) == label


def test_a_caption_is_closed_at_its_limit_and_stays_in_the_context(tiny_network):
    frames = [tiny_network.frame(n, seed=7) for n in range(1, 5)]
    settings = settings_for(tiny_network, "eos", 1.1)
    heard = listen(tiny_network, frames, settings)
    assert all(each.ids is not None and 0 < len(each.ids) <= MAX_TOKENS for each in heard)
    silent = listen(tiny_network, frames, replace(settings, threshold=0.0))
    assert [each.ids is None for each in silent] == [False, True, True, True]
    assert heard[-1].silence != pytest.approx(silent[-1].silence, abs=1e-6)


def test_every_way_of_serving_narrates_a_clip(tiny_network):
    model = LoadedModel(tiny_network.model, tiny_network.tokenizer, tiny_network.template)
    clip = annotate(make_clip("parking", 1, 4), 1, 64)
    seen = [tiny_network.frame(n).visual_tokens for n in range(1, 5)]
    ways = [way for name in ("scam-paper", "causal", "eos", "head") for way in servings(name, (1.5,), (0.5,))]
    assert [way.label for way in ways] == [
        "branch, alpha 1.5",
        "branch, alpha 1.5",
        "reference, alpha 1.5",
        "silence < 0.5",
        "silence < 0.5",
    ]
    for way in ways:
        watched = serve(model, clip, seen, way, 6000)
        assert watched.num_frames == 4
        assert watched.said
        assert watched.said[0].second == 0
