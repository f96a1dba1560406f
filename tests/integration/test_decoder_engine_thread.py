"""The engine on its own thread: bounded both ways, in order, and honest when it cannot go on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest
from services.decoder.engine_thread import MAX_COMMANDS, MAX_UNTOLD, EngineThread, Outcome

from fakes.engine import STREAM, TinyNetwork
from livestar.core.decision import Decision, TextPiece
from livestar.core.errors import CapacityExceeded, FailedPrecondition, NotFound
from livestar.engine import Engine, EngineSettings, StreamSettings

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

SETTINGS = StreamSettings(max_caption_tokens=6, max_trunk_tokens=2000)


class Told:
    """What the thread has told, flat."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def __call__(self, outcomes: list[Outcome]) -> None:
        self.outcomes += outcomes

    async def until_decided(self, number: int) -> list[Decision]:
        async with asyncio.timeout(20):
            while True:
                events = [event for outcome in self.outcomes for event in outcome.events]
                decided = [event for event in events if isinstance(event, Decision)]
                if len(decided) >= number:
                    return decided
                await asyncio.sleep(0.01)


@pytest.fixture
def engine(tiny_network: TinyNetwork) -> Engine:
    return tiny_network.engine(EngineSettings(num_pages=2048))


@pytest.fixture
async def told() -> Told:
    return Told()


@pytest.fixture
async def thread(engine: Engine, told: Told) -> AsyncIterator[EngineThread]:
    running = EngineThread(engine)
    running.start(told)
    yield running
    await running.stop()


async def test_every_decided_frame_comes_with_its_change_and_the_ledger_to_plan_for(
    thread: EngineThread, told: Told, tiny_network: TinyNetwork
):
    await thread.call(lambda e: e.open_stream(STREAM, SETTINGS), about=STREAM)
    for number in range(1, 4):
        frame = tiny_network.frame(number)
        await thread.call(lambda e, frame=frame: e.submit_frame(STREAM, frame), about=STREAM)
        await told.until_decided(number)
    opened, *rest = [outcome for outcome in told.outcomes if outcome.change]
    assert opened.events == ()
    assert [outcome.change.last_frame for outcome in rest] == [1, 2, 3]
    for outcome in rest:
        assert any(isinstance(event, Decision) for event in outcome.events)
        assert outcome.coming is not None
        assert len(outcome.coming.frames) == outcome.change.last_frame
    pieces = [o for o in told.outcomes if any(isinstance(event, TextPiece) for event in o.events)]
    assert any(outcome.change is None for outcome in pieces), "words come before their frame is decided"


async def test_results_come_before_what_follows_from_them(
    thread: EngineThread, told: Told, tiny_network: TinyNetwork
):
    await thread.call(lambda e: e.open_stream(STREAM, SETTINGS))
    await thread.call(lambda e: e.submit_frame(STREAM, tiny_network.frame(1)))
    await told.until_decided(1)
    seen: list[int] = []
    await thread.call(
        lambda e: e.ask(STREAM, "What is there?"), then=lambda _: seen.append(len(told.outcomes))
    )
    async with asyncio.timeout(20):
        while not any(isinstance(e, TextPiece) and e.source == 1 for o in told.outcomes for e in o.events):
            await asyncio.sleep(0.01)
    first = next(
        index
        for index, outcome in enumerate(told.outcomes)
        if any(isinstance(event, TextPiece) and event.source == 1 for event in outcome.events)
    )
    assert seen[0] <= first


async def test_errors_are_the_callers(thread: EngineThread, told: Told):
    with pytest.raises(NotFound):
        await thread.call(lambda e: e.stream(STREAM))
    assert await thread.call(lambda e: e.pool.num_pages) == 2048


async def test_more_commands_than_fit_are_refused_and_the_others_are_done(thread: EngineThread):
    gate = threading.Event()
    blocked = asyncio.create_task(thread.call(lambda _: gate.wait(10)))
    await asyncio.sleep(0.05)
    calls = [asyncio.create_task(thread.call(lambda _: 1)) for _ in range(MAX_COMMANDS + 5)]
    await asyncio.sleep(0)
    gate.set()
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(result == 1 for result in done) >= MAX_COMMANDS
    assert any(isinstance(result, CapacityExceeded) for result in done)
    assert await blocked


@pytest.mark.slow
async def test_the_engine_waits_for_an_event_loop_that_does_not_keep_up(
    thread: EngineThread, told: Told, tiny_network: TinyNetwork, engine: Engine
):
    frames = [tiny_network.frame(number, scene=number) for number in range(1, 31)]
    await thread.call(lambda e: e.open_stream(STREAM, SETTINGS))
    await thread.call(lambda e: [e.submit_frame(STREAM, frame) for frame in frames])
    time.sleep(3.0)
    waiting = len(engine.stream(STREAM).inbox)
    assert waiting > 0, "it is at most so many steps ahead"
    assert not told.outcomes or len(told.outcomes) <= MAX_UNTOLD
    decided = await told.until_decided(30)
    assert [decision.frame for decision in decided] == list(range(1, 31))


async def test_a_pass_that_fails_is_run_again(
    thread: EngineThread, told: Told, tiny_network: TinyNetwork, engine: Engine
):
    await thread.call(lambda e: e.open_stream(STREAM, SETTINGS))
    forward, failures = engine.runner.forward, [RuntimeError("out of memory"), RuntimeError("again")]

    def unlucky(chunks):
        if failures:
            raise failures.pop()
        return forward(chunks)

    engine.runner.forward = unlucky
    await thread.call(lambda e: e.submit_frame(STREAM, tiny_network.frame(1)))
    await told.until_decided(1)
    assert thread.take_num_retries() == 2
    assert thread.take_num_retries() == 0


async def test_a_pass_that_fails_again_and_again_ends_the_thread(
    thread: EngineThread, tiny_network: TinyNetwork, engine: Engine
):
    await thread.call(lambda e: e.open_stream(STREAM, SETTINGS))

    def broken(chunks):
        raise RuntimeError("the device is lost")

    engine.runner.forward = broken
    await thread.call(lambda e: e.submit_frame(STREAM, tiny_network.frame(1)))
    with pytest.raises(RuntimeError, match="the device is lost"):
        await asyncio.wait_for(thread.until_failed(), 20)
    with pytest.raises(FailedPrecondition, match="stopping"):
        await thread.call(lambda _: None)


async def test_what_waits_when_it_stops_is_refused(engine: Engine, told: Told):
    thread = EngineThread(engine)
    thread.start(told)
    gate = threading.Event()
    first = asyncio.create_task(thread.call(lambda _: gate.wait(10)))
    await asyncio.sleep(0.05)
    stopping = asyncio.create_task(thread.stop())
    await asyncio.sleep(0)
    second = asyncio.create_task(thread.call(lambda _: None))
    await asyncio.sleep(0.05)
    gate.set()
    await stopping
    assert await first
    with pytest.raises(FailedPrecondition):
        await second
