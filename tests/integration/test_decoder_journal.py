"""Whatever happens to a stream, the batches of its journal add up to what its engine remembers, and its events are in order."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from services.decoder.engine_thread import Outcome
from services.decoder.journal import FrameNote, Journal

from fakes.engine import STREAM, TinyNetwork
from livestar.api.v1 import common_pb2, events_pb2, memory_pb2
from livestar.core.errors import LiveStarError
from livestar.core.ids import ChannelId
from livestar.engine import EngineSettings, GateSettings, StreamSettings, StreamSnapshot
from livestar.memory import PublishedPeakEnd
from livestar.wire.snapshot import snapshot_of
from livestar.wire.tensors import tensor_proto

pytestmark = pytest.mark.integration

STREAMS = st.builds(
    StreamSettings,
    gate=st.builds(GateSettings, alpha=st.sampled_from([1.0, 1.5, 6.0])),
    max_caption_tokens=st.just(4),
    max_trunk_tokens=st.sampled_from([300, 420]),
    memory=st.sampled_from([None, PublishedPeakEnd(4)]),
    max_pending_frames=st.just(4),
    max_open_questions=st.just(2),
    max_channels=st.just(2),
    max_question_tokens=st.just(16),
    max_chain_tokens=st.just(40),
)

ACTIONS = st.one_of(
    st.tuples(st.just("watch"), st.sampled_from([3, 6])),
    st.tuples(st.just("frames"), st.sampled_from([1, 3, 7])),
    st.tuples(st.just("lose"), st.sampled_from([1, 4])),
    st.tuples(st.just("step"), st.sampled_from([1, 5, 30])),
    st.tuples(st.just("commit"), st.none()),
    st.tuples(st.just("ask"), st.sampled_from("abc")),
    st.tuples(st.just("stand"), st.sampled_from(["one", "two"])),
    st.tuples(st.just("remove"), st.sampled_from(["one", "two"])),
    st.tuples(st.just("cancel"), st.sampled_from(["narration", "one"])),
)


class Memory:
    """What the memory service would have after the batches."""

    def __init__(self) -> None:
        self.head = memory_pb2.StreamHead()
        self.segments: dict[int, memory_pb2.Segment] = {}
        self.kept: dict[int, memory_pb2.KeptFrame] = {}
        self.events: list[events_pb2.StreamEvent] = []

    def write(self, request: memory_pb2.CommitRequest) -> None:
        assert request.head.batch == self.head.batch + 1
        self.head = request.head
        for order in request.removed_orders:
            frame = self.segments.pop(order).frame_sequence
            self.kept.pop(frame, None)
        self.segments |= {segment.order: segment for segment in request.changed_segments}
        self.kept |= {frame.frame_sequence: frame for frame in request.kept_frames}
        self.events += request.events
        assert [event.sequence for event in self.events] == list(range(1, request.head.event_sequence + 1))

    def snapshot(self, settings: StreamSettings) -> StreamSnapshot:
        ordered = [self.segments[order] for order in sorted(self.segments)]
        return snapshot_of(STREAM, settings, self.head, ordered, self.kept.values())


class Decoder:
    """An engine and its journal, without threads and services between them."""

    def __init__(self, network: TinyNetwork, settings: StreamSettings) -> None:
        self.network, self.settings = network, settings
        self.engine = network.engine(EngineSettings(num_pages=600))
        self.memory, self.number = Memory(), 0
        self.journal = Journal(
            memory_pb2.StreamHead(epoch=1),
            StreamSnapshot(STREAM, settings),
            texts={},
            image_token_id=network.tokenizer.img_context_id,
        )
        self.engine.open_stream(STREAM, settings)
        self.tell([])

    def do(self, action: str, what: object) -> None:
        match action:
            case "frames" | "watch":
                for _ in range(what):
                    self.give()
                    while action == "watch" and self.engine.has_work:
                        self.tell(self.engine.step())
            case "lose":
                first, self.number = self.number + 1, self.number + what
                self.journal.missing(first, self.number, events_pb2.GAP_REASON_LOST)
            case "step":
                for _ in range(what):
                    self.tell(self.engine.step())
            case "commit":
                self.commit()
            case _:
                with contextlib.suppress(LiveStarError):
                    self.request(action, what)
                self.tell([])

    def give(self) -> None:
        self.number += 1
        frame = self.network.frame(self.number, scene=self.number // 3 % 5)
        tokens = tensor_proto(frame.visual_tokens)
        self.journal.frame_given(
            FrameNote(self.number, frame.pts_ns, 1_000 + self.number, ingest_epoch=3, tokens=tokens)
        )
        self.engine.submit_frame(STREAM, frame)

    def request(self, action: str, what: str) -> None:
        engine, channel = self.engine, common_pb2.ChannelSpec(channel=what, text="How many?")
        if action == "ask":
            number = engine.ask(STREAM, "What is the red ball doing?", chain=what)
            self.journal.asked(number, "What is the red ball doing?", what)
        elif action == "stand":
            engine.stand(STREAM, "How many?", channel=what, gate=GateSettings(alpha=1.2))
            self.open(channel, is_open=True)
        elif action == "remove":
            engine.remove_channel(STREAM, ChannelId(what))
            self.open(channel, is_open=False)
        else:
            engine.cancel(STREAM, ChannelId(what))

    def open(self, channel: common_pb2.ChannelSpec, *, is_open: bool) -> None:
        # Without a loop there is nobody to wait for it.
        self.journal.note_channel(channel, is_open=is_open)

    def tell(self, events: list) -> None:
        change = self.engine.take_change(STREAM)
        coming = self.engine.coming_ledger(STREAM) if change else None
        self.journal.take(Outcome(STREAM, tuple(events), change, coming, at_ns=5))

    def commit(self) -> None:
        if request := self.journal.next_batch():
            self.memory.write(memory_pb2.CommitRequest.FromString(request.SerializeToString()))

    def settle(self) -> None:
        while self.engine.has_work:
            self.tell(self.engine.step())
        self.tell(self.engine.step())
        self.commit()


@hypothesis_settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(chosen=STREAMS, actions=st.lists(ACTIONS, min_size=12, max_size=30))
def test_batches_add_up_to_the_engines_memory_and_events_are_in_order(tiny_network, chosen, actions):
    decoder = Decoder(tiny_network, chosen)
    for action, what in actions:
        decoder.do(action, what)
    decoder.settle()
    memory, engine = decoder.memory, decoder.engine
    own, kept = engine.snapshot(STREAM), memory.snapshot(chosen)
    unanswered = set(own.unanswered)
    assert kept.segments == own.segments
    assert (kept.positions, kept.channels, kept.chains) == (own.positions, own.channels, own.chains)
    assert (kept.clip, kept.last_frame, kept.next_question) == (own.clip, own.last_frame, own.next_question)
    assert kept.visual_tokens.keys() == own.visual_tokens.keys()
    assert all(tokens.equal(own.visual_tokens[n]) for n, tokens in kept.visual_tokens.items())
    assert set(memory.head.open_question_ids) == unanswered
    assert memory.head.decided_sequence == decoder.number
    assert {c.channel: c.text for c in memory.head.channels if c.channel != "narration"} == dict.fromkeys(
        [c.id for c in own.channels if c.id != "narration"], "How many?"
    )
    check_order(memory.events, decoder.number)
    engine.close_stream(STREAM)
    engine.restore(kept)


def check_order(events: list[events_pb2.StreamEvent], number: int) -> None:
    """Frames are told once, in order, decided or missing; words come before the decision that they belong to."""
    told: list[int] = []
    for event in events:
        if event.HasField("frames_missing"):
            gap = event.frames_missing
            told += range(gap.first_sequence, gap.last_sequence + 1)
        elif event.HasField("decision") and event.decision.channel == "narration":
            told.append(event.frame_sequence)
            assert event.captured_at_ns == 1_000 + event.frame_sequence
            assert math.isclose(event.pts_ns, (event.frame_sequence - 1) * 1e9)
        elif event.HasField("text_piece") and event.text_piece.channel == "narration":
            assert event.frame_sequence not in told
    assert told == list(range(1, number + 1))
