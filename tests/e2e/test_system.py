"""The whole system: two clips at once as live streams, heard by many, decided as by one engine in this process."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from e2e.subscribers import SocketSubscriber, Subscriber
from e2e.whole import Whole, running, write_clip
from fakes.decoding import Seen, decisions, same, texts
from fakes.nano import Nano
from livestar.api.v1 import common_pb2, events_pb2
from livestar.api.v1.events_pb2 import StreamEvent
from livestar.client.gateway_client import GatewayClient
from livestar.client.stream_request import AskReply
from livestar.core.ids import StreamId
from livestar.media import VideoSource
from livestar.media.image import decode_image, encode_image, resize_frame
from livestar.synth import Clip, Split, make_clip, parse_facts

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

SECONDS = 22
QUESTION = "What colour is the traffic light now?"
COLOURS = {"red", "yellow", "green"}
CLIPS = {
    "junction": make_clip("traffic", 49, SECONDS, Split.TEST),
    "stove": make_clip("kitchen", 7, SECONDS, Split.TEST),
}
LATE_S = 15.0
"""The machine is shared: a decision may be as late as this."""


@dataclass(frozen=True)
class Watched:
    """What came of both streams.

    Attributes:
        files: the recordings.
        heard: by stream, what each subscriber got.
        resumed: by stream, the one that left and came back.
        reply: to the question.
        asked_at_frame: the newest decided frame when it was asked.
        began_ns: Unix time before the first stream was created.
        ended_ns: Unix time after both were over.
    """

    files: dict[str, Path]
    heard: dict[str, list[Subscriber]]
    resumed: dict[str, Subscriber]
    reply: AskReply
    asked_at_frame: int
    began_ns: int
    ended_ns: int

    def events(self, stream: str) -> list[StreamEvent]:
        """What the first subscriber got."""
        return self.heard[stream][0].events


@pytest.fixture(scope="module")
def nano() -> Nano:
    """The shipped checkpoint, in this process."""
    return Nano()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the recordings lie."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Whole]:
    """All services and a real Redis."""
    with running(tmp_path_factory.mktemp("logs"), folder) as whole:
        yield whole


@pytest.fixture(scope="module")
def watched(system: Whole, folder: Path) -> Watched:
    """Both clips, played once."""
    files = {name: write_clip(clip, folder / f"{name}.mp4") for name, clip in CLIPS.items()}
    began_ns = time.time_ns()
    for name, path in files.items():
        standing = [{"name": "q1", "text": QUESTION}] if name == "junction" else []
        system.create(id=name, source=str(path), pace="realtime", max_in_flight=64, standing=standing)
    heard = {
        name: [
            Subscriber(system.url, name),
            Subscriber(system.url, name),
            Subscriber(system.url, name, leaves_after=40),
            SocketSubscriber(system.url, name),
        ]
        for name in files
    }
    for subscriber in itertools.chain(*heard.values()):
        subscriber.start()
    first = heard["junction"][0]
    deadline_s = time.monotonic() + 60
    while first.decided_frame() < 8 and time.monotonic() < deadline_s:
        time.sleep(0.05)
    asked_at_frame = first.decided_frame()
    with GatewayClient(system.url) as gateway:
        reply = gateway.ask("junction", QUESTION)
    for subscriber in itertools.chain(*heard.values()):
        subscriber.until_over(120)
    resumed = {name: subscribers[2] for name, subscribers in heard.items()}
    return Watched(files, heard, resumed, reply, asked_at_frame, began_ns, time.time_ns())


def seen(nano: Nano, stream: str, path: Path) -> Seen:
    """What the network sees of a recording: sampled, scaled and packed for transport as ingest does."""
    with VideoSource.open(str(path)) as source:
        packed = [encode_image(resize_frame(sample.rgb, 224), "JPEG") for sample in source.frames(1.0)]
    frames = [decode_image(data, "JPEG", 224, 224) for data in packed]
    tokens = torch.cat([nano.model.see([frame]) for frame in frames])
    return Seen(StreamId(stream), nano.model_id, tokens)


@pytest.mark.parametrize("stream", CLIPS)
def test_every_subscriber_gets_every_event_once_and_in_order(watched: Watched, stream: str) -> None:
    events = watched.events(stream)
    numbers = list(range(1, len(events) + 1))
    for subscriber in watched.heard[stream]:
        assert [event.sequence for event in subscriber.events] == numbers
        assert subscriber.cursors == [str(number) for number in numbers]
        assert subscriber.events == events
        assert set(subscriber.others) <= {"alive"}
    assert watched.resumed[stream].connections == 2, "it left in the middle and came back"
    # On a busy machine a listener also sees the stream start, or get its first decision before RUNNING is told.
    states = [event.state_changed.state for event in events if event.HasField("state_changed")]
    assert states[-2:] == [common_pb2.STREAM_STATE_RUNNING, common_pb2.STREAM_STATE_ENDED]
    assert events[-1].HasField("state_changed")
    assert not [event for event in events if event.HasField("failure") or event.HasField("frames_missing")]


@pytest.mark.parametrize("stream", CLIPS)
def test_decisions_are_those_of_an_engine_in_this_process(watched: Watched, nano: Nano, stream: str) -> None:
    standing = [QUESTION] if stream == "junction" else []
    expected = nano.watch(seen(nano, stream, watched.files[stream]), standing=standing)
    assert len({decision.frame for decision in expected}) == SECONDS
    same(watched.events(stream), expected, tolerance=1e-3)


@pytest.mark.parametrize("stream", CLIPS)
def test_texts_come_in_pieces_and_tell_what_happens(watched: Watched, stream: str) -> None:
    events, clip = watched.events(stream), CLIPS[stream]
    spoken = {
        (frame, d.channel): d.text for frame, d in decisions(events) if d.action == events_pb2.ACTION_SPEAK
    }
    assert {at: text.strip() for at, text in texts(events).items()} == spoken
    captions = {frame: text for (frame, channel), text in spoken.items() if channel == "narration"}
    assert len(captions) >= 3, "something happens every few seconds"
    true = [frame for frame, text in captions.items() if _is_true(clip, frame - 1, text)]
    assert len(true) / len(captions) > 0.6, captions


def _is_true(clip: Clip, t_s: float, text: str) -> bool:
    """Whether a caption states the facts of what happens at a time, and no others."""
    event = next(event for event in clip.events if event.start_s <= t_s < event.end_s)
    stated = parse_facts(clip.family, text)
    return "event" in stated and stated.items() <= event.facts.items()


@pytest.mark.parametrize("stream", CLIPS)
def test_time_stamps_are_in_order_and_sane(watched: Watched, stream: str) -> None:
    events = watched.events(stream)
    frames = {e.frame_sequence: e for e in events if e.HasField("decision")}
    pts = [frames[number].pts_ns for number in sorted(frames)]
    assert pts == [n * 1_000_000_000 for n in range(SECONDS)]
    assert [event.pts_ns for event in events] == sorted(event.pts_ns for event in events)
    # Pieces of text go out at once, and the decisions of a frame when they are durable.
    decided = [e.decided_at_ns for e in events if e.decision.channel == "narration"]
    assert decided == sorted(decided)
    captured = [frames[number].captured_at_ns for number in sorted(frames)]
    assert captured == sorted(captured)
    assert watched.began_ns < captured[0] < decided[-1] < watched.ended_ns
    for event in frames.values():
        assert 0 < event.decided_at_ns - event.captured_at_ns < LATE_S * 1e9
        # A recording at the pace of life: as many seconds after the first frame as the clip says.
        since_first_ns = event.captured_at_ns - captured[0]
        assert abs(since_first_ns - event.pts_ns) < 3e9


def test_a_question_in_the_middle_is_answered(watched: Watched) -> None:
    reply, events = watched.reply, watched.events("junction")
    assert reply.ending == "complete"
    assert reply.text in COLOURS
    (asked,) = [event for event in events if event.HasField("question")]
    (answer,) = [event for event in events if event.HasField("answer")]
    assert (asked.question.question_id, asked.question.text) == (reply.question, QUESTION)
    assert (answer.answer.question_id, answer.answer.text) == (reply.question, reply.text)
    assert asked.sequence < answer.sequence
    assert watched.asked_at_frame <= asked.frame_sequence < SECONDS
    pieces = [e.text_piece.text for e in events if e.text_piece.question_id == reply.question]
    assert "".join(pieces).strip() == reply.text


def test_a_standing_question_changes_its_answer(watched: Watched) -> None:
    answers = [
        d.text
        for _, d in decisions(watched.events("junction"))
        if d.channel == "q1" and d.action == events_pb2.ACTION_SPEAK
    ]
    assert set(answers) <= COLOURS
    assert len(answers) >= 2
    assert all(before != after for before, after in itertools.pairwise(answers))


def test_who_comes_later_gets_the_same(system: Whole, watched: Watched) -> None:
    late = Subscriber(system.url, "junction")
    late.start()
    assert late.until_over(30) == watched.events("junction")
    info = system.stream("junction")
    assert int(info["event_sequence"]) == len(late.events)
    assert int(info["captured_sequence"]) == int(info["decided_sequence"]) == SECONDS + 1, "the end counts"


def test_nobody_complains(system: Whole, watched: Watched) -> None:
    system.check()
    assert system.complaints() == []
