"""A stream as a value: saved at some frame and restored in another engine, it goes on as if nothing had happened."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from fakes.engine import STREAM, TinyNetwork, run
from livestar.core.decision import Action, Answer, Decision, Event, Rule
from livestar.core.errors import CapacityExceeded, FailedPrecondition, InvalidInput
from livestar.core.ids import ChannelId, FrameNumber, QuestionId, StreamId
from livestar.engine import Engine, EngineSettings, GateSettings, Mode, StreamSettings, StreamSnapshot
from livestar.kv import PositionPolicy, SegmentKind
from livestar.memory import Forget, Ledger, PlannedElsewhere, ProbabilisticPeakEnd, TokenBudget

pytestmark = pytest.mark.integration

FORGETFUL = 640


def settings(mode: Mode = Mode.BRANCH, **changes: object) -> StreamSettings:
    values = {
        "mode": mode,
        "gate": GateSettings(alpha=6.0 if mode is Mode.BRANCH else 1.1),
        "max_caption_tokens": 6,
        "max_trunk_tokens": 6000,
        "max_question_tokens": 32,
        "max_chain_tokens": 64,
    }
    return StreamSettings(**(values | changes))


def opened(network: TinyNetwork, chosen: StreamSettings) -> Engine:
    engine = network.engine(EngineSettings(num_pages=600))
    engine.open_stream(STREAM, chosen)
    return engine


def watch(engine: Engine, network: TinyNetwork, numbers: range) -> list[Decision]:
    """Scenes change every third frame, two in five scenes look alike."""
    events: list[Event] = []
    for number in numbers:
        engine.submit_frame(STREAM, network.frame(number, scene=(number // 3) % 5))
        events += run(engine, check=number % 10 == 0)
    return [event for event in events if isinstance(event, Decision)]


def restored(network: TinyNetwork, snapshot: StreamSnapshot) -> Engine:
    engine = network.engine(EngineSettings(num_pages=600))
    engine.restore(snapshot)
    return engine


def same(first: list[Decision], second: list[Decision], tolerance: float = 1e-4) -> None:
    def decided(d: Decision) -> tuple:
        return d.channel, d.frame, d.pts_ns, d.action, d.rule, d.text, d.token_ids, d.clip, d.ending

    assert [decided(d) for d in first] == [decided(d) for d in second]
    for one, other in zip(first, second, strict=True):
        assert one.nll == pytest.approx(other.nll, abs=tolerance, nan_ok=True)
        assert one.reference_nll == pytest.approx(other.reference_nll, abs=tolerance, nan_ok=True)
        assert one.new_reference_nll == pytest.approx(other.new_reference_nll, abs=tolerance, nan_ok=True)


@pytest.mark.parametrize(("mode", "seed"), [(Mode.BRANCH, 1), (Mode.REFERENCE, 2)])
@pytest.mark.slow
def test_a_stream_whose_engine_is_lost_goes_on_for_a_hundred_frames_as_if_it_were_not(
    tiny_network, mode, seed
):
    lost_after = random.Random(seed).randint(3, 40)
    careful = GateSettings(alpha=5.0, min_gap_s=2.0, hysteresis=True, max_silence_s=9.0)

    def begun() -> Engine:
        engine = opened(tiny_network, settings(mode, gate=careful))
        if mode is Mode.BRANCH:
            engine.stand(STREAM, "How many people now?", channel="count", gate=GateSettings(alpha=3.0))
            engine.probe(STREAM, "The small dog leaves the room.", channel="dog")
        return engine

    whole = watch(begun(), tiny_network, range(1, lost_after + 105))
    engine = begun()
    watch(engine, tiny_network, range(1, lost_after + 1))
    snapshot = engine.snapshot(STREAM)
    assert snapshot.last_frame == lost_after
    engine = restored(tiny_network, snapshot)
    rest = watch(engine, tiny_network, range(lost_after + 1, lost_after + 105))
    same(rest, [decision for decision in whole if decision.frame > lost_after])
    narration = [decision for decision in rest if decision.channel == "narration"]
    assert {decision.action for decision in narration} == set(Action)
    assert len({decision.rule for decision in narration}) >= 3, "the gate's state mattered"


@pytest.mark.parametrize("mode", list(Mode))
def test_the_cache_is_rebuilt_by_the_next_passes_beside_other_streams(tiny_network, mode):
    other = StreamId("other")
    frames = [tiny_network.frame(number, seed=5, scene=number // 3) for number in range(1, 12)]
    source = opened(tiny_network, settings(mode))
    watch(source, tiny_network, range(1, 21))
    snapshot = source.snapshot(STREAM)

    def others(engine: Engine) -> list[Decision]:
        engine.open_stream(other, settings(mode))
        for frame in frames:
            engine.submit_frame(other, frame)
        return [d for d in run(engine) if isinstance(d, Decision) and d.stream == other]

    alone = others(tiny_network.engine())
    engine = tiny_network.engine(EngineSettings(num_pages=1200, max_prefill_tokens=100))
    engine.restore(snapshot)
    assert engine.has_work
    same(others(engine), alone)
    assert engine.stream(STREAM).state.trunk.num_staged == 0, "rebuilt before any frame came"
    assert engine.snapshot(STREAM) == snapshot
    assert engine.take_change(STREAM) is None
    same(watch(engine, tiny_network, range(21, 31)), watch(source, tiny_network, range(21, 31)))


def test_a_frame_that_comes_while_the_cache_is_rebuilt_is_decided_the_same(tiny_network):
    source = opened(tiny_network, settings())
    watch(source, tiny_network, range(1, 21))
    engine = tiny_network.engine(EngineSettings(num_pages=600, max_prefill_tokens=100))
    engine.restore(source.snapshot(STREAM))
    engine.step()
    same(watch(engine, tiny_network, range(21, 25)), watch(source, tiny_network, range(21, 25)))


@pytest.mark.parametrize("mode", list(Mode))
def test_after_forgetting_the_restored_cache_is_a_clean_recompute_of_what_is_left(tiny_network, mode):
    source = opened(tiny_network, settings(mode, max_trunk_tokens=FORGETFUL))
    watch(source, tiny_network, range(1, 51))
    snapshot = source.snapshot(STREAM)
    assert FrameNumber(2) not in snapshot.frames, "something was forgotten"
    source.stream(STREAM).state.trunk.invalidate()
    engine = restored(tiny_network, snapshot)
    same(watch(engine, tiny_network, range(51, 91)), watch(source, tiny_network, range(51, 91)))


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.slow
def test_a_stream_that_recomputes_when_it_forgets_goes_on_the_same_after_forgetting_too(tiny_network, mode):
    chosen = settings(mode, positions=PositionPolicy.RECOMPUTED, max_trunk_tokens=FORGETFUL)
    source = opened(tiny_network, chosen)
    watch(source, tiny_network, range(1, 61))
    snapshot = source.snapshot(STREAM)
    assert FrameNumber(2) not in snapshot.frames, "something was forgotten"
    engine = restored(tiny_network, snapshot)
    same(watch(engine, tiny_network, range(61, 121)), watch(source, tiny_network, range(61, 121)))


def test_gaps_in_the_positions_survive(tiny_network):
    source = opened(tiny_network, settings(positions=PositionPolicy.GAPS, max_trunk_tokens=FORGETFUL))
    watch(source, tiny_network, range(1, 51))
    snapshot = source.snapshot(STREAM)
    engine = restored(tiny_network, snapshot)
    run(engine)
    trunk, old = engine.stream(STREAM).state.trunk, source.stream(STREAM).state.trunk
    assert trunk.positions.tolist() == old.positions.tolist()
    assert trunk.next_position > trunk.num_tokens, "there are gaps"
    assert [d.frame for d in watch(engine, tiny_network, range(51, 81))] == list(range(51, 81))
    engine.check_integrity()


@pytest.mark.parametrize("mode", list(Mode))
def test_while_a_frame_is_decided_there_is_nothing_to_save(tiny_network, mode):
    engine = opened(tiny_network, settings(mode, gate=GateSettings(alpha=1.0, max_silence_s=1.0)))
    watch(engine, tiny_network, range(1, 3))
    assert engine.can_snapshot(STREAM)
    engine.take_change(STREAM)
    for number in (3, 4):
        engine.submit_frame(STREAM, tiny_network.frame(number))
    refused, saved = 0, []
    while engine.has_work:
        decided = [event.frame for event in engine.step() if isinstance(event, Decision)]
        if decided:
            saved.append(engine.snapshot(STREAM).last_frame)
            assert saved[-1:] == decided, "before the next frame, which waits already, begins"
            continue
        refused += 1
        assert not engine.can_snapshot(STREAM)
        assert engine.take_change(STREAM) is None
        for save in (engine.snapshot, engine.coming_ledger):
            with pytest.raises(FailedPrecondition, match="after the step that decides"):
                save(STREAM)
    assert saved == [3, 4]
    assert refused > 2, "captions took passes"


def test_what_waits_or_is_under_way_is_given_again(tiny_network):
    source = opened(tiny_network, settings())
    watch(source, tiny_network, range(1, 6))
    answered = source.ask(STREAM, "Who is there?", chain="a")
    [first] = [event for event in run(source) if isinstance(event, Answer)]
    under_way = source.ask(STREAM, "What colour was it?", chain="a")
    source.step()
    waiting = source.ask(STREAM, "When?", chain="a")
    snapshot = source.snapshot(STREAM)
    assert first.question == answered
    assert snapshot.unanswered == (under_way, waiting)
    engine = restored(tiny_network, snapshot)
    assert [event for event in run(engine) if isinstance(event, Answer)] == []
    again = engine.ask(STREAM, "What colour was it?", chain="a")
    assert again > waiting, "an id names one question only"
    [answer] = [event for event in run(engine) if isinstance(event, Answer)]
    [as_before, _] = [event for event in run(source) if isinstance(event, Answer)]
    assert (answer.question, answer.token_ids) == (again, as_before.token_ids), "the chain was remembered"
    with pytest.raises(InvalidInput, match="not newer"):
        engine.submit_frame(STREAM, tiny_network.frame(5))


def test_a_first_answer_under_way_begins_anew(tiny_network):
    source = opened(tiny_network, settings())
    watch(source, tiny_network, range(1, 6))
    source.stand(STREAM, "How many?", channel="count")
    source.step()
    snapshot = source.snapshot(STREAM)
    engine = restored(tiny_network, snapshot)
    [answer] = [event for event in run(engine) if isinstance(event, Decision)]
    assert (answer.channel, answer.frame, answer.rule) == ("count", 5, Rule.FIRST)
    same([answer], [event for event in run(source) if isinstance(event, Decision)])
    same(watch(engine, tiny_network, range(6, 20)), watch(source, tiny_network, range(6, 20)))


def test_a_stream_that_has_seen_nothing_can_be_moved_too(tiny_network):
    source = opened(tiny_network, settings())
    source.stand(STREAM, "How many?", channel="count")
    engine = restored(tiny_network, source.snapshot(STREAM))
    same(watch(engine, tiny_network, range(1, 10)), watch(source, tiny_network, range(1, 10)))


def test_an_engine_without_room_refuses_and_is_as_it_was(tiny_network):
    source = opened(tiny_network, settings())
    watch(source, tiny_network, range(1, 6))
    engine = tiny_network.engine(EngineSettings(num_pages=100))
    with pytest.raises(CapacityExceeded, match="KV pages"):
        engine.restore(source.snapshot(STREAM))
    assert not engine.can_open(source.snapshot(STREAM).settings)
    assert engine.pool.num_free_pages == 100
    engine.check_integrity()


def test_a_snapshot_can_be_restored_again_but_not_beside_itself(tiny_network):
    source = opened(tiny_network, settings())
    watch(source, tiny_network, range(1, 6))
    snapshot = source.snapshot(STREAM)
    first, second = restored(tiny_network, snapshot), restored(tiny_network, snapshot)
    with pytest.raises(InvalidInput, match="open already"):
        first.restore(snapshot)
    same(watch(first, tiny_network, range(6, 20)), watch(second, tiny_network, range(6, 20)))
    first.close_stream(STREAM)
    assert first.pool.num_free_pages == first.pool.num_pages
    first.restore(snapshot)
    same(watch(first, tiny_network, range(6, 20)), watch(source, tiny_network, range(6, 20)))


def test_a_restored_stream_owns_its_visual_tokens(tiny_network):
    source = opened(tiny_network, settings())
    watch(source, tiny_network, range(1, 6))
    snapshot = source.snapshot(STREAM)
    copies = {number: tokens.clone() for number, tokens in snapshot.visual_tokens.items()}
    engine = restored(tiny_network, replace(snapshot, visual_tokens=copies))
    for tokens in copies.values():
        tokens.zero_()
    same(watch(engine, tiny_network, range(6, 20)), watch(source, tiny_network, range(6, 20)))


def segment(index: int, **changes: object):
    def damage(saved: StreamSnapshot) -> StreamSnapshot:
        segments = list(saved.segments)
        segments[index] = replace(segments[index], **changes)
        return replace(saved, segments=tuple(segments))

    return damage


def channel(index: int, **changes: object):
    def damage(saved: StreamSnapshot) -> StreamSnapshot:
        channels = list(saved.channels)
        channels[index] = replace(channels[index], **changes)
        return replace(saved, channels=tuple(channels))

    return damage


def tokens_of_a_frame(tokens: torch.Tensor):
    return lambda saved: replace(saved, visual_tokens={**saved.visual_tokens, saved.frames[0]: tokens})


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (segment(0, ids=(1, 2, 3)), r"segments\[0\]"),
        (segment(2, ids=()), r"segments\[2\].ids"),
        (segment(2, ids=(5, 6)), r"segments\[2\].ids does not hold 16"),
        (segment(1, ids=(5, 512)), r"segments\[1\].ids holds 512"),
        (segment(1, ids=(5, -1)), r"segments\[1\].ids holds -1"),
        (segment(1, ids=(5,) * 6000), "max_trunk_tokens"),
        (segment(-1, frame=FrameNumber(1)), "out of order"),
        (segment(1, frame=FrameNumber(1)), r"segments\[1\].frame"),
        (segment(2, frame=FrameNumber(-4)), r"segments\[2\].frame"),
        (segment(2, nll=float("nan")), r"segments\[2\].nll"),
        (segment(2, pts_ns=-(2**63)), "pts_ns"),
        (lambda s: replace(s, segments=()), r"segments\[0\]"),
        (lambda s: replace(s, positions=s.positions[1:]), "positions has"),
        (lambda s: replace(s, positions=(*s.positions[:-1], s.positions[-1] + 1)), r"positions\[\d+\] is"),
        (lambda s: replace(s, positions=(*s.positions[:-1], 3)), r"positions\[\d+\] is 3"),
        (lambda s: replace(s, visual_tokens={}), "visual_tokens lacks frame 1"),
        (tokens_of_a_frame(torch.zeros(15, 48)), r"visual_tokens\[1\] is \[15, 48\]"),
        (tokens_of_a_frame(torch.full((16, 48), torch.inf)), r"visual_tokens\[1\] is not finite"),
        (lambda s: replace(s, last_frame=FrameNumber(3)), "last_frame is 3"),
        (lambda s: replace(s, last_frame=FrameNumber(2**60)), "last_frame"),
        (lambda s: replace(s, last_pts_ns=0), "last_pts_ns"),
        (lambda s: replace(s, clip=0), "clip is 0"),
        (lambda s: replace(s, next_question=QuestionId(0)), "next_question"),
        (lambda s: replace(s, unanswered=(QuestionId(9),)), "next_question"),
        (lambda s: replace(s, channels=()), "channels"),
        (lambda s: replace(s, channels=s.channels[::-1]), "channels does not begin"),
        (lambda s: replace(s, channels=(*s.channels, s.channels[1])), "channels holds a name twice"),
        (channel(1, prompt=(5,) * 400), r"channels\['count'\].prompt"),
        (channel(1, spoke_pts_ns=10**15), r"channels\['count'\].spoke_pts_ns"),
        (channel(2, held=None), r"channels\['dog'\].held"),
        (
            lambda s: channel(0, held=replace(s.channels[0].held, ids=(7,) * 7))(s),
            r"channels\['narration'\].held.ids",
        ),
        (lambda s: replace(s, chains=s.chains * 2), "chains"),
        (
            lambda s: replace(s, chains=(replace(s.chains[0], turns=((5,) * 65,)),)),
            r"chains\['a'\] is longer than max_chain_tokens",
        ),
        (
            lambda s: replace(s, settings=replace(s.settings, mode=Mode.REFERENCE)),
            "channels .* mode 'branch'",
        ),
        (lambda s: replace(s, settings=replace(s.settings, max_channels=1)), "max_channels"),
        (lambda s: replace(s, settings=replace(s.settings, max_trunk_tokens=60)), "max_trunk_tokens"),
    ],
)
def test_a_damaged_snapshot_is_refused_by_the_name_of_its_field(tiny_network, damage, named):
    source = opened(tiny_network, settings())
    source.stand(STREAM, "How many?", channel="count")
    source.probe(STREAM, "a dog", channel="dog")
    watch(source, tiny_network, range(1, 6))
    source.ask(STREAM, "Who is there?", chain="a")
    run(source)
    engine = tiny_network.engine(EngineSettings(num_pages=600))
    with pytest.raises(InvalidInput, match=named):
        engine.restore(damage(source.snapshot(STREAM)))
    assert engine.pool.num_free_pages == 600
    engine.restore(source.snapshot(STREAM))


def test_every_decided_frame_gives_one_small_change(tiny_network):
    engine = opened(tiny_network, settings(max_trunk_tokens=FORGETFUL))
    kept = StreamSnapshot(STREAM, settings(max_trunk_tokens=FORGETFUL))
    seen = {number: tiny_network.frame(number, scene=(number // 3) % 5) for number in range(1, 61)}
    told = []
    for frame in seen.values():
        engine.submit_frame(STREAM, frame)
    while engine.has_work:
        for name in {event.stream for event in engine.step()}:
            if change := engine.take_change(name):
                tokens = {s.frame: seen[s.frame].visual_tokens for s in change.appended if s.frame}
                kept = kept.after(change, tokens)
                told.append(change)
    assert [change.last_frame for change in told] == list(seen)
    assert all(len(change.appended) <= 2 and len(change.positions) <= 2 for change in told[1:10])
    assert any(change.forgotten for change in told)
    now = engine.snapshot(STREAM)
    assert kept == now
    assert kept.visual_tokens.keys() == set(now.frames) == now.visual_tokens.keys()
    for number in now.frames:
        assert torch.equal(kept.visual_tokens[number], now.visual_tokens[number])
    same(
        watch(restored(tiny_network, kept), tiny_network, range(61, 70)),
        watch(restored(tiny_network, now), tiny_network, range(61, 70)),
    )


def test_a_restored_stream_tells_what_changed_since_its_snapshot(tiny_network):
    source = opened(tiny_network, settings(max_trunk_tokens=FORGETFUL))
    watch(source, tiny_network, range(1, 31))
    snapshot = source.snapshot(STREAM)
    engine = restored(tiny_network, snapshot)
    watch(engine, tiny_network, range(31, 51))
    change = engine.take_change(STREAM)
    assert snapshot.after(change) == engine.snapshot(STREAM)
    assert engine.take_change(STREAM) is None


class Watched:
    """A policy that counts how often it is asked."""

    def __init__(self, policy: TokenBudget | ProbabilisticPeakEnd) -> None:
        self.policy = policy
        self.num_asked = 0

    def plan(self, ledger: Ledger) -> Forget:
        self.num_asked += 1
        return self.policy.plan(ledger)


@pytest.mark.parametrize(
    "policy", [TokenBudget(max_trunk_tokens=FORGETFUL), ProbabilisticPeakEnd(window_frames=8, strength=0.5)]
)
@pytest.mark.parametrize("mode", list(Mode))
def test_plans_made_elsewhere_are_used_in_time_and_change_nothing(tiny_network, mode, policy):
    chosen = settings(mode, max_trunk_tokens=FORGETFUL, memory=policy)
    local = watch(opened(tiny_network, chosen), tiny_network, range(1, 61))
    watched = Watched(policy)
    elsewhere = PlannedElsewhere(watched)
    engine = opened(tiny_network, replace(chosen, memory=elsewhere))
    decisions, late = [], 0
    watched.num_asked = 0
    for number in range(1, 61):
        if number % 5 == 0:
            late += 1
        else:
            ledger = engine.coming_ledger(STREAM)
            elsewhere.offer(ledger.version, policy.plan(ledger))
        decisions += watch(engine, tiny_network, range(number, number + 1))
    same(decisions, local)
    assert watched.num_asked == late
    assert engine.snapshot(STREAM).settings.memory is watched
    kinds = {s.kind for s in engine.snapshot(STREAM).segments}
    assert SegmentKind.CAPTION in kinds
    assert ChannelId("narration") in {c.id for c in engine.snapshot(STREAM).channels}
