"""What must not go wrong when things come at a bad moment, twice, or fail."""

from __future__ import annotations

import pytest

from fakes.engine import STREAM, TinyNetwork, run
from livestar.core.decision import Action, Answer, Decision, Ending, Rule, StreamFailed, TextPiece
from livestar.core.errors import InvalidInput, NotFound
from livestar.core.ids import ChannelId, StreamId
from livestar.engine import Engine, GateSettings, Mode, StreamSettings
from livestar.engine.channel import NARRATION
from livestar.kv import SegmentKind
from livestar.memory import TokenBudget

pytestmark = pytest.mark.integration


def settings(mode: Mode = Mode.BRANCH, **changes: object) -> StreamSettings:
    values = {
        "mode": mode,
        "gate": GateSettings(alpha=1.0),
        "max_caption_tokens": 6,
        "max_trunk_tokens": 3000,
    }
    return StreamSettings(**(values | changes))


def opened(network: TinyNetwork, chosen: StreamSettings | None = None, name: StreamId = STREAM) -> Engine:
    engine = network.engine()
    engine.open_stream(name, chosen or settings())
    return engine


def watch(engine: Engine, network: TinyNetwork, numbers: range) -> list[Decision]:
    for number in numbers:
        engine.submit_frame(STREAM, network.frame(number))
    return [event for event in run(engine) if isinstance(event, Decision)]


def test_a_frame_that_comes_twice_is_refused_at_any_moment(tiny_network):
    for passes in range(6):
        engine = opened(tiny_network)
        watch(engine, tiny_network, range(1, 4))
        engine.submit_frame(STREAM, tiny_network.frame(4))
        for _ in range(passes):
            engine.step()
        with pytest.raises(InvalidInput, match="not newer"):
            engine.submit_frame(STREAM, tiny_network.frame(4))
        run(engine)
        assert [d.frame for d in watch(engine, tiny_network, range(5, 6))] == [5]


@pytest.mark.parametrize("mode", list(Mode))
def test_a_pass_that_fails_can_be_run_again(tiny_network, mode, monkeypatch):
    undisturbed = watch(opened(tiny_network, settings(mode)), tiny_network, range(1, 9))
    engine = opened(tiny_network, settings(mode))
    forward, calls = engine.runner.forward, iter(range(10_000))

    def out_of_memory_every_third_time(chunks):
        if next(calls) % 3 == 1:
            raise MemoryError
        return forward(chunks)

    monkeypatch.setattr(engine.runner, "forward", out_of_memory_every_third_time)
    for number in range(1, 9):
        engine.submit_frame(STREAM, tiny_network.frame(number))
    decisions = []
    while engine.has_work:
        try:
            decisions += [event for event in engine.step() if isinstance(event, Decision)]
        except MemoryError:
            continue
        engine.check_integrity()
    assert [(d.nll, d.token_ids) for d in decisions[1:]] == [(d.nll, d.token_ids) for d in undisturbed[1:]]


def test_an_error_of_one_stream_closes_it_and_no_other(tiny_network):
    def broken(ids: tuple[int, ...]) -> tuple[int, ...]:
        raise RuntimeError("no such caption")

    engine = opened(tiny_network)
    engine.open_stream(StreamId("broken"), settings(Mode.REFERENCE), revise=broken)
    for number in range(1, 4):
        engine.submit_frame(StreamId("broken"), tiny_network.frame(number))
        engine.submit_frame(STREAM, tiny_network.frame(number))
    events = run(engine)
    [failed] = [event for event in events if isinstance(event, StreamFailed)]
    assert failed.stream == "broken"
    assert "no such caption" in str(failed.error)
    assert [d.frame for d in events if isinstance(d, Decision) and d.stream == STREAM] == [1, 2, 3]
    with pytest.raises(NotFound):
        engine.stream(StreamId("broken"))
    engine.check_integrity()


def test_a_policy_that_cannot_hold_the_preamble_is_refused_at_the_door(tiny_network):
    with pytest.raises(InvalidInput, match="policy"):
        opened(tiny_network, settings(memory=TokenBudget(max_trunk_tokens=50)))


def test_branches_that_would_leave_the_trained_range_are_refused_at_the_door(tiny_network):
    with pytest.raises(InvalidInput, match="positions"):
        opened(tiny_network, settings(max_chain_tokens=40_000))


def cancel_the_next_caption(engine: Engine, network: TinyNetwork, number: int) -> Decision:
    engine.submit_frame(STREAM, network.frame(number))
    while not any(isinstance(event, TextPiece) for event in engine.step()):
        pass
    engine.cancel(STREAM, NARRATION)
    [decision] = [event for event in run(engine) if isinstance(event, Decision)]
    return decision


def test_cancelling_again_and_again_promotes_the_ended_caption_once(tiny_network):
    engine = opened(tiny_network, settings(gate=GateSettings(alpha=1.0, max_silence_s=1.0)))
    [first] = watch(engine, tiny_network, range(1, 2))
    for number in range(2, 6):
        decision = cancel_the_next_caption(engine, tiny_network, number)
        assert (decision.ending, decision.text, decision.clip) == (Ending.CANCELLED, first.text, 2)
    segments = engine.stream(STREAM).state.trunk.segments
    assert sum(segment.kind is SegmentKind.CAPTION for segment in segments) == 1


@pytest.mark.parametrize("mode", list(Mode))
def test_what_stays_held_after_cancelling_is_compared_with_the_present(tiny_network, mode):
    gate = GateSettings(alpha=1e6, max_silence_s=3.0)
    engine = opened(tiny_network, settings(mode, gate=gate))
    [first] = watch(engine, tiny_network, range(1, 2))
    assert [d.action for d in watch(engine, tiny_network, range(2, 4))] == [Action.SILENT] * 2
    cancelled = cancel_the_next_caption(engine, tiny_network, 4)
    assert cancelled.reference_nll == first.new_reference_nll
    assert cancelled.new_reference_nll != first.new_reference_nll
    [after] = watch(engine, tiny_network, range(5, 6))
    assert (after.action, after.reference_nll) == (Action.SILENT, cancelled.new_reference_nll)


def test_a_standing_question_before_the_first_frame_is_answered_once(tiny_network):
    engine = opened(tiny_network)
    engine.stand(STREAM, "How many?", channel="count", gate=GateSettings(alpha=1e6))
    decisions = [d for d in watch(engine, tiny_network, range(1, 4)) if d.channel == "count"]
    assert [(d.frame, d.rule) for d in decisions] == [(1, Rule.FIRST), (2, Rule.HOLDS), (3, Rule.HOLDS)]


def test_a_channel_removed_while_it_is_verified_or_speaks_is_never_heard_again(tiny_network):
    for passes in range(8):
        engine = opened(tiny_network)
        engine.stand(STREAM, "How many?", channel="count", gate=GateSettings(alpha=1.0))
        watch(engine, tiny_network, range(1, 3))
        engine.submit_frame(STREAM, tiny_network.frame(3))
        for _ in range(passes):
            engine.step()
        engine.remove_channel(STREAM, ChannelId("count"))
        heard = [event for event in run(engine) if isinstance(event, Decision) and event.channel == "count"]
        assert heard == []
        engine.check_integrity()


def test_a_follow_up_asked_too_early_still_sees_its_chain(tiny_network):
    def answers(*, wait: bool) -> list[tuple[int, ...]]:
        engine = opened(tiny_network)
        watch(engine, tiny_network, range(1, 2))
        events = []
        for text in ("Who picks up a cup?", "What colour was it?"):
            engine.ask(STREAM, text, chain="a")
            events += run(engine) if wait else engine.step()
        events += run(engine)
        return [event.token_ids for event in events if isinstance(event, Answer)]

    assert answers(wait=False) == answers(wait=True)


def test_a_waiting_question_can_be_taken_out(tiny_network):
    engine = opened(tiny_network, settings(max_open_questions=1))
    question = engine.ask(STREAM, "What?")
    engine.cancel(STREAM, question)
    [answer] = engine.step()
    assert (answer.question, answer.ending) == (question, Ending.CANCELLED)
    engine.ask(STREAM, "What?")


def test_closing_a_stream_says_a_last_word_to_open_questions(tiny_network):
    engine = opened(tiny_network)
    watch(engine, tiny_network, range(1, 2))
    questions = {engine.ask(STREAM, "What?", chain="a"), engine.ask(STREAM, "What?", chain="a")}
    engine.step()
    engine.close_stream(STREAM)
    last = [event for event in engine.step() if isinstance(event, Answer)]
    assert {answer.question for answer in last} == questions
    assert {answer.ending for answer in last} == {Ending.CANCELLED}


def test_a_damaged_row_is_healed_by_recomputing_the_trunk(tiny_network):
    for mode in Mode:
        engine = opened(tiny_network, settings(mode, gate=GateSettings(alpha=1e6)))
        watch(engine, tiny_network, range(1, 5))
        trunk = engine.stream(STREAM).state.trunk
        engine.pool.values_LRKH[1, trunk.rows[40]] = float("nan")
        [decision] = watch(engine, tiny_network, range(5, 6))
        assert (decision.action, decision.rule) == (Action.SILENT, Rule.HOLDS), mode


def test_an_enormous_question_is_refused_before_it_is_tokenised(tiny_network, monkeypatch):
    engine = opened(tiny_network)
    monkeypatch.setattr(
        type(tiny_network.tokenizer), "encode_text", lambda *_: pytest.fail("it was tokenised")
    )
    with pytest.raises(InvalidInput, match="characters"):
        engine.ask(STREAM, "why " * 1_000_000)
