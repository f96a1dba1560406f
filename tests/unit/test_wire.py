from __future__ import annotations

import math

import pytest
import torch

from livestar.api.v1 import common_pb2 as c
from livestar.api.v1 import events_pb2, memory_pb2
from livestar.core.decision import (
    Action,
    Answer,
    Decision,
    Ending,
    Event,
    FrameDropped,
    Rule,
    StreamFailed,
    TextPiece,
)
from livestar.core.errors import BadVideo, InvalidInput
from livestar.core.ids import ChannelId, FrameNumber, QuestionId, StreamId
from livestar.engine import GateSettings, Mode, StreamSettings
from livestar.memory import (
    CaptionEntry,
    Forget,
    FrameEntry,
    Ledger,
    ProbabilisticPeakEnd,
    PublishedPeakEnd,
    TokenBudget,
)
from livestar.wire.events import from_stream_event, to_stream_event
from livestar.wire.memory import forget_policy, from_plan, ledger_of, plan_forgetting, to_plan
from livestar.wire.tensors import from_tensor, to_tensor
from livestar.wire.watching import stream_settings, watch_settings

pytestmark = pytest.mark.unit

DOOR = StreamId("door")


def decision(**changes: object) -> Decision:
    fields: dict[str, object] = {
        "stream": DOOR,
        "channel": ChannelId("narration"),
        "frame": FrameNumber(7),
        "pts_ns": 6 * 10**9,
        "action": Action.SPEAK,
        "rule": Rule.PERPLEXITY,
        "nll": 1.25,
        "reference_nll": 0.1,
        "alpha": 1.07,
        "clip": 3,
        "text": "A cär stops.",
        "token_ids": (5, 92000),
        "ending": Ending.TRUNCATED,
        "new_reference_nll": 0.2,
    }
    return Decision(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "event",
    [
        decision(),
        *(decision(rule=rule, action=action) for rule in Rule for action in Action),
        *(decision(ending=ending) for ending in Ending),
        TextPiece(DOOR, ChannelId("q1"), FrameNumber(7), "A c"),
        TextPiece(DOOR, QuestionId(3), FrameNumber(7), "ä"),
        Answer(DOOR, QuestionId(3), FrameNumber(7), 5, "Two.", (1, 2), Ending.CANCELLED),
    ],
)
def test_what_the_engine_says_comes_back_as_it_was(event: Event) -> None:
    wired = events_pb2.StreamEvent.FromString(to_stream_event(event).SerializeToString())
    assert from_stream_event(wired) == event


def test_what_was_not_measured_stays_not_a_number() -> None:
    wired = to_stream_event(decision(nll=math.nan, reference_nll=math.nan, new_reference_nll=math.nan))
    back = from_stream_event(wired)
    assert isinstance(back, Decision)
    assert math.isnan(back.nll)
    assert math.isnan(back.new_reference_nll)


def test_failures_keep_their_class_and_strangers_their_secrets() -> None:
    back = from_stream_event(to_stream_event(StreamFailed(DOOR, BadVideo("no video"))))
    assert isinstance(back, StreamFailed)
    assert (type(back.error), str(back.error)) == (BadVideo, "no video")
    assert "secret" not in str(to_stream_event(StreamFailed(DOOR, KeyError("secret"))))


def test_dropped_frames_are_missing_and_what_the_engine_does_not_say_is_nothing() -> None:
    wired = to_stream_event(FrameDropped(DOOR, FrameNumber(7), 5))
    missing = wired.frames_missing
    assert (missing.first_sequence, missing.last_sequence, wired.pts_ns) == (7, 7, 5)
    assert missing.reason == events_pb2.GAP_REASON_DECODER_DROPPED
    assert from_stream_event(events_pb2.StreamEvent(state_changed=events_pb2.StateChanged())) is None


# --- tensors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_tensors_come_back_bit_for_bit(dtype: torch.dtype) -> None:
    tensor = torch.randn(16, 12).to(dtype)
    tensor[0, 0] = math.nan
    back = from_tensor(c.Tensor.FromString(to_tensor(tensor).SerializeToString()))
    assert back.dtype == dtype
    assert torch.equal(back.view(torch.uint8), tensor.view(torch.uint8))
    assert torch.equal(from_tensor(to_tensor(tensor.T)).nan_to_num(), tensor.T.nan_to_num())
    back[0, 0] = 1


@pytest.mark.parametrize(
    "wired",
    [
        c.Tensor(),
        c.Tensor(dtype=c.TENSOR_TYPE_FLOAT32, shape=[2, 2], data=b"\0" * 15),
        c.Tensor(dtype=c.TENSOR_TYPE_FLOAT32, shape=[2, 0], data=b""),
        c.Tensor(dtype=9, shape=[1], data=b"\0" * 4),  # type: ignore[arg-type]
        c.Tensor(dtype=c.TENSOR_TYPE_FLOAT16, shape=[2**31, 2**31, 2**31], data=b"\0\0"),
    ],
)
def test_a_tensor_that_lies_about_its_size_is_refused(wired: c.Tensor) -> None:
    with pytest.raises(InvalidInput, match="send it again"):
        from_tensor(wired)


def test_other_types_do_not_travel() -> None:
    with pytest.raises(ValueError, match=r"not torch\.int64"):
        to_tensor(torch.zeros(1, dtype=torch.int64))


# --- memory


def test_policies_take_what_is_set_and_default_the_rest() -> None:
    assert forget_policy(c.MemoryPolicy(max_trunk_tokens=900, protect_s=0)) == TokenBudget(
        max_trunk_tokens=900, protect_s=0
    )
    published = c.MemoryPolicy(
        kind=c.MEMORY_POLICY_KIND_PUBLISHED_PEAK_END, trigger_frames=9, max_trunk_tokens=5
    )
    assert forget_policy(published) == PublishedPeakEnd(trigger_frames=9)
    probable = c.MemoryPolicy(kind=c.MEMORY_POLICY_KIND_PROBABILISTIC_PEAK_END, seed=4, strength=0)
    assert forget_policy(probable) == ProbabilisticPeakEnd(seed=4, strength=0)
    with pytest.raises(InvalidInput, match="low_water"):
        forget_policy(c.MemoryPolicy(max_trunk_tokens=900, low_water=2))


def segment(order: int, kind: memory_pb2.SegmentKind.ValueType, **fields: float) -> memory_pb2.Segment:
    return memory_pb2.Segment(order=order, kind=kind, token_ids=[1] * 10, **fields)  # type: ignore[arg-type]


def test_the_ledger_of_a_trunk_and_its_plan() -> None:
    frame, caption = memory_pb2.SEGMENT_KIND_FRAME, memory_pb2.SEGMENT_KIND_CAPTION
    segments = [
        segment(5, frame, frame_sequence=3, clip=2, nll=0.5, pts_ns=20 * 10**9),
        segment(1, memory_pb2.SEGMENT_KIND_PREAMBLE),
        segment(2, frame, frame_sequence=1, clip=1, nll=0.1, pts_ns=0),
        segment(4, caption, clip=1),
        segment(3, frame, frame_sequence=2, clip=1, nll=math.nan, pts_ns=10**9),
    ]
    ledger = ledger_of(segments, coming_tokens=7)
    first, second, third = ledger.frames
    assert (first, third) == (
        FrameEntry(FrameNumber(1), 1, 0.1, 10, 0),
        FrameEntry(FrameNumber(3), 2, 0.5, 10, 20 * 10**9),
    )
    assert second.surprise == math.inf
    assert (ledger.captions, ledger.fixed_tokens) == ((CaptionEntry(1, 10),), 17)
    forget = plan_forgetting(c.MemoryPolicy(max_trunk_tokens=50, low_water=1), ledger)
    assert forget == Forget(frozenset({FrameNumber(2)}))
    assert from_plan(to_plan(forget, batch=4, coming_tokens=7)) == forget
    assert ledger_of([]) == Ledger((), (), 0)


# --- settings


def test_what_is_set_replaces_the_recommendation_and_the_rest_stays() -> None:
    recommended = StreamSettings(gate=GateSettings(alpha=1.07, min_gap_s=2), max_trunk_tokens=1400)
    assert stream_settings(c.WatchSettings(), recommended) == recommended
    asked = c.WatchSettings(
        mode=c.DECODING_MODE_REFERENCE,
        gate=c.GateSettings(min_gap_s=0, hysteresis=True, max_silence_s=9),
        max_caption_tokens=32,
        task_prompt="Watch.",
        memory=c.MemoryPolicy(protect_s=3),
    )
    settings = stream_settings(asked, recommended)
    assert settings.mode is Mode.REFERENCE
    assert settings.gate == GateSettings(1.07, 0.0, hysteresis=True, max_silence_s=9)
    assert (settings.max_caption_tokens, settings.task_prompt, settings.max_trunk_tokens) == (
        32,
        "Watch.",
        1400,
    )
    assert settings.memory == TokenBudget(max_trunk_tokens=1400, protect_s=3)
    used = watch_settings(settings, asked)
    assert stream_settings(used, StreamSettings()) == settings
    assert used.memory.kind == c.MEMORY_POLICY_KIND_TOKEN_BUDGET


@pytest.mark.parametrize(
    "asked",
    [
        c.WatchSettings(gate=c.GateSettings(alpha=0.5)),
        c.WatchSettings(max_caption_tokens=0),
        c.WatchSettings(memory=c.MemoryPolicy(max_trunk_tokens=0)),
    ],
)
def test_values_that_cannot_work_are_the_callers_to_mend(asked: c.WatchSettings) -> None:
    with pytest.raises(InvalidInput):
        stream_settings(asked, StreamSettings())
