"""A stream that runs for ever: the trunk stays bounded, the cache stays true, positions stay in range."""

from __future__ import annotations

import copy
import itertools

import pytest

from fakes.engine import STREAM, TinyNetwork, run
from livestar.core.decision import Action, Decision
from livestar.engine import Engine, EngineSettings, GateSettings, Mode, StreamSettings
from livestar.kv import PositionPolicy, SegmentKind
from livestar.memory import KeepEverything, ProbabilisticPeakEnd, PublishedPeakEnd, TokenBudget

pytestmark = pytest.mark.integration

MAX_TRUNK = 640


@pytest.fixture(scope="module")
def short_range_network(tiny_network: TinyNetwork) -> TinyNetwork:
    """The same network, but trained, it says, on 1,400 positions: they run out soon."""
    model = copy.deepcopy(tiny_network.model)
    model.config.llm_config.max_position_embeddings = 1400
    return TinyNetwork(model, tiny_network.tokenizer, tiny_network.template)


def settings(mode: Mode, **changes: object) -> StreamSettings:
    values = {
        "mode": mode,
        "gate": GateSettings(alpha=6.0 if mode is Mode.BRANCH else 1.1, max_silence_s=5.0),
        "max_caption_tokens": 8,
        "max_trunk_tokens": MAX_TRUNK,
        "max_question_tokens": 32,
        "max_chain_tokens": 64,
    }
    return StreamSettings(**(values | changes))


def watch_long(
    network: TinyNetwork, chosen: StreamSettings, num_frames: int
) -> tuple[Engine, list[Decision]]:
    """Watches frames with a question now and then, checking the bound and the cache after every pass."""
    engine = network.engine(EngineSettings(num_pages=400))
    engine.open_stream(STREAM, chosen)
    engine_trunk = engine.stream(STREAM).state.trunk
    decisions = []
    for number in range(1, num_frames + 1):
        engine.submit_frame(STREAM, network.frame(number, scene=number // 4))
        if number % 7 == 0:
            engine.ask(STREAM, "What is the red ball doing?")
        while engine.has_work:
            decisions += [event for event in engine.step() if isinstance(event, Decision)]
            engine.check_integrity()
            assert engine_trunk.num_tokens <= chosen.max_trunk_tokens
            assert engine_trunk.next_position < network.model.config.llm_config.max_position_embeddings
    return engine, decisions


@pytest.mark.parametrize("positions", list(PositionPolicy))
@pytest.mark.parametrize("mode", list(Mode))
def test_the_trunk_stays_bounded_and_the_cache_true(short_range_network, mode, positions):
    engine, decisions = watch_long(short_range_network, settings(mode, positions=positions), num_frames=150)
    assert [decision.frame for decision in decisions] == list(range(1, 151))
    kinds = {segment.kind for segment in engine.stream(STREAM).state.trunk.segments}
    assert kinds == {SegmentKind.PREAMBLE, SegmentKind.FRAME, SegmentKind.CAPTION}
    newest = max(segment.frame for segment in engine.stream(STREAM).state.trunk.segments)
    assert newest == 150


@pytest.mark.parametrize(
    "policy",
    [PublishedPeakEnd(), ProbabilisticPeakEnd(), KeepEverything(), TokenBudget(max_trunk_tokens=500)],
    ids=lambda policy: type(policy).__name__,
)
def test_any_policy_is_held_to_the_bound(tiny_network, policy):
    _, decisions = watch_long(tiny_network, settings(Mode.BRANCH, memory=policy), num_frames=90)
    assert len(decisions) == 90


def test_gaps_keep_positions_and_contiguous_closes_them(tiny_network):
    ends = {}
    for positions in PositionPolicy:
        engine, _ = watch_long(tiny_network, settings(Mode.BRANCH, positions=positions), num_frames=60)
        trunk = engine.stream(STREAM).state.trunk
        ends[positions] = trunk.next_position
        gaps = sum(b - a > 1 for a, b in itertools.pairwise(trunk.positions.tolist()))
        assert (gaps > 0) == (positions is PositionPolicy.GAPS)
    assert ends[PositionPolicy.GAPS] > MAX_TRUNK > ends[PositionPolicy.CONTIGUOUS]


def test_without_forgetting_a_rebuilt_trunk_decides_the_same(tiny_network):
    """Recomputing every row from its tokens is the oracle: before anything is forgotten it changes nothing."""
    streams = []
    for rebuild in (False, True):
        engine = tiny_network.engine()
        engine.open_stream(STREAM, settings(Mode.BRANCH, max_trunk_tokens=3000))
        decisions = []
        for number in range(1, 31):
            if rebuild and number % 10 == 0:
                engine.stream(STREAM).state.trunk.invalidate()
            engine.submit_frame(STREAM, tiny_network.frame(number, scene=number // 4))
            decisions += [event for event in run(engine) if isinstance(event, Decision)]
        streams.append(decisions)
    for plain, rebuilt in zip(*streams, strict=True):
        assert (plain.action, plain.token_ids) == (rebuilt.action, rebuilt.token_ids)
        assert plain.nll == pytest.approx(rebuilt.nll, abs=1e-4, nan_ok=True)
    assert Action.SPEAK in {decision.action for decision in streams[0]}


def test_frame_indices_wrap_and_cost_the_same(tiny_network):
    engine = tiny_network.engine()
    engine.open_stream(STREAM, settings(Mode.BRANCH, frame_index_limit=9))
    lengths = set()
    for number in range(1, 30):
        engine.submit_frame(STREAM, tiny_network.frame(number))
        run(engine)
        last = [s for s in engine.stream(STREAM).state.trunk.segments if s.kind is SegmentKind.FRAME][-1]
        if number > 1:
            lengths.add(len(last))
    assert len(lengths) == 1
