"""Whatever happens to a stream, its changes add up to its snapshot, and a restored copy tells the same."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fakes.engine import STREAM, TinyNetwork, run
from livestar.core.errors import LiveStarError
from livestar.core.ids import ChannelId
from livestar.engine import Engine, EngineSettings, GateSettings, Mode, StreamSettings, StreamSnapshot
from livestar.kv import PositionPolicy
from livestar.memory import ProbabilisticPeakEnd, PublishedPeakEnd

pytestmark = pytest.mark.integration

NAMES = st.sampled_from(["narration", "one", "two"])

STREAMS = st.builds(
    StreamSettings,
    mode=st.sampled_from(Mode),
    gate=st.builds(GateSettings, alpha=st.sampled_from([1.0, 1.5, 6.0]), hysteresis=st.booleans()),
    max_caption_tokens=st.just(4),
    terminal_captions=st.booleans(),
    frame_index_limit=st.sampled_from([None, 9]),
    max_trunk_tokens=st.sampled_from([300, 420]),
    memory=st.sampled_from([None, PublishedPeakEnd(4), ProbabilisticPeakEnd(2, strength=0.9)]),
    positions=st.sampled_from(PositionPolicy),
    max_pending_frames=st.just(3),
    max_open_questions=st.just(2),
    max_channels=st.just(2),
    max_question_tokens=st.just(16),
    max_chain_tokens=st.just(40),
)

ACTIONS = st.one_of(
    st.tuples(st.just("hurry"), st.sampled_from([1, 4, 9])),
    st.tuples(st.just("watch"), st.sampled_from([2, 6, 14])),
    st.tuples(st.just("step"), st.sampled_from([1, 3, 8])),
    st.tuples(st.just("ask"), st.sampled_from("abc")),
    st.tuples(st.just("stand"), NAMES),
    st.tuples(st.just("probe"), NAMES),
    st.tuples(st.just("remove"), NAMES),
    st.tuples(st.just("cancel"), NAMES),
    st.tuples(st.just("rebuild"), st.none()),
    st.tuples(st.just("tell"), st.none()),
    st.tuples(st.just("move"), st.none()),
)


class Watcher:
    """A stream in an engine, and the copy that is folded from its changes."""

    def __init__(self, network: TinyNetwork, chosen: StreamSettings) -> None:
        self.network = network
        self.engine = self._engine()
        self.engine.open_stream(STREAM, chosen)
        self.copy = StreamSnapshot(STREAM, chosen)
        self.number = 0

    def do(self, action: str, what: object) -> None:
        engine = self.engine
        if action in ("hurry", "watch"):
            for _ in range(what):
                self.number += 1
                engine.submit_frame(STREAM, self.network.frame(self.number, scene=self.number // 3 % 5))
                if action == "hurry":
                    engine.step()
                else:
                    run(engine, check=False)
        elif action == "step":
            for _ in range(what):
                engine.step()
        elif action == "tell":
            self.tell()
        elif action == "rebuild":
            if not engine.stream(STREAM).state.trunk.branches:
                engine.stream(STREAM).state.trunk.invalidate()
        elif action == "move":
            run(engine)
            self.move()
        else:
            with contextlib.suppress(
                LiveStarError
            ):  # a name taken, a mode without channels, too many questions
                self._request(action, what)

    def tell(self) -> None:
        """Folds what changed; at a point between frames the copy is then the stream."""
        change = self.engine.take_change(STREAM)
        if change:
            self.copy = self.copy.after(change)
        if self.engine.can_snapshot(STREAM):
            assert self.copy == self.engine.snapshot(STREAM)
        else:
            assert change is None

    def move(self) -> None:
        """Goes on in another engine; the copy needs nothing but the changes that follow."""
        self.tell()
        snapshot = self.engine.snapshot(STREAM)
        self.engine = self._engine()
        self.engine.restore(snapshot)
        assert self.engine.snapshot(STREAM) == replace(snapshot, unanswered=())
        self.tell()

    def _request(self, action: str, what: str) -> None:
        engine = self.engine
        if action == "ask":
            engine.ask(STREAM, "What is the red ball doing?", chain=what)
        elif action == "stand":
            engine.stand(STREAM, "How many?", channel=what, gate=GateSettings(alpha=1.2))
        elif action == "probe":
            engine.probe(STREAM, "a red ball", channel=what)
        elif action == "remove":
            engine.remove_channel(STREAM, ChannelId(what))
        else:
            engine.cancel(STREAM, ChannelId(what))

    def _engine(self) -> Engine:
        return self.network.engine(EngineSettings(num_pages=120))


def random_stream(network: TinyNetwork, chosen: StreamSettings, actions: list[tuple[str, object]]) -> None:
    watcher = Watcher(network, chosen)
    for action, what in actions:
        watcher.do(action, what)
        watcher.engine.check_integrity()
    run(watcher.engine)
    watcher.tell()
    watcher.move()
    run(watcher.engine)


shared = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@hypothesis_settings(max_examples=15, **shared)
@given(chosen=STREAMS, actions=st.lists(ACTIONS, min_size=4, max_size=10))
def test_changes_add_up_to_the_snapshot(tiny_network, chosen, actions):
    random_stream(tiny_network, chosen, actions)


@pytest.mark.slow
@hypothesis_settings(max_examples=150, **shared)
@given(chosen=STREAMS, actions=st.lists(ACTIONS, min_size=12, max_size=40))
def test_changes_of_long_random_streams_add_up(tiny_network, chosen, actions):
    random_stream(tiny_network, chosen, actions)
