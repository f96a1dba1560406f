"""Values of the library as protos, and back."""

from __future__ import annotations

import math

import pytest
import torch

from livestar.api.v1 import common_pb2 as c
from livestar.api.v1 import events_pb2, memory_pb2
from livestar.core.decision import Action, Answer, Decision, Ending, Rule, TextPiece
from livestar.core.errors import InvalidInput
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
from livestar.wire.events import answer_proto, decision_proto, piece_proto
from livestar.wire.ledger import LedgerEntry, forget_of, ledger_of, plan_proto
from livestar.wire.policy import complete_policy, policy_of
from livestar.wire.settings import complete_settings, stream_settings
from livestar.wire.tensors import tensor_of, tensor_proto

pytestmark = pytest.mark.unit

DOOR = StreamId("door")


# --- events


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
        "new_reference_nll": math.nan,
    }
    return Decision(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_decision_travels_whole() -> None:
    wired = events_pb2.Decision.FromString(decision_proto(decision()).SerializeToString())
    assert (wired.channel, wired.text, tuple(wired.token_ids)) == ("narration", "A cär stops.", (5, 92000))
    assert (wired.nll, wired.reference_nll, wired.alpha, wired.clip) == (1.25, 0.1, 1.07, 3)
    assert (wired.action, wired.rule) == (events_pb2.ACTION_SPEAK, events_pb2.RULE_PERPLEXITY)
    assert wired.ending == events_pb2.ENDING_TRUNCATED
    assert math.isnan(wired.new_reference_nll)


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("ending", Ending)
def test_every_name_has_a_number(rule: Rule, action: Action, ending: Ending) -> None:
    wired = decision_proto(decision(rule=rule, action=action, ending=ending))
    assert events_pb2.Rule.Name(wired.rule) == f"RULE_{rule.name}"
    assert events_pb2.Action.Name(wired.action) == f"ACTION_{action.name}"
    assert events_pb2.Ending.Name(wired.ending) == f"ENDING_{ending.name}"


def test_pieces_say_who_speaks() -> None:
    of_channel = piece_proto(TextPiece(DOOR, ChannelId("q1"), FrameNumber(7), "ä"))
    assert (of_channel.WhichOneof("source"), of_channel.channel, of_channel.text) == ("channel", "q1", "ä")
    of_question = piece_proto(TextPiece(DOOR, QuestionId(3), FrameNumber(7), "b"))
    assert (of_question.WhichOneof("source"), of_question.question_id) == ("question_id", 3)
    wired = answer_proto(Answer(DOOR, QuestionId(3), FrameNumber(7), 5, "Two.", (1, 2), Ending.CANCELLED))
    assert wired == events_pb2.Answer(
        question_id=3, text="Two.", token_ids=[1, 2], ending=events_pb2.ENDING_CANCELLED
    )


# --- tensors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_tensors_come_back_bit_for_bit(dtype: torch.dtype) -> None:
    tensor = torch.randn(16, 12).to(dtype)
    tensor[0, 0] = math.nan
    back = tensor_of(c.Tensor.FromString(tensor_proto(tensor).SerializeToString()))
    assert back.dtype == dtype
    assert torch.equal(back.view(torch.uint8), tensor.view(torch.uint8))
    assert torch.equal(tensor_of(tensor_proto(tensor.T)).nan_to_num(), tensor.T.nan_to_num())
    back[0, 0] = 1


@pytest.mark.parametrize(
    "wired",
    [
        c.Tensor(),
        c.Tensor(dtype=c.TENSOR_TYPE_FLOAT32, shape=[2, 2], data=b"\0" * 15),
        c.Tensor(dtype=c.TENSOR_TYPE_FLOAT32, shape=[2, 0], data=b""),
        c.Tensor(dtype=c.TENSOR_TYPE_FLOAT32, shape=[], data=b"\0" * 4),
        c.Tensor(dtype=9, shape=[1], data=b"\0" * 4),  # type: ignore[arg-type]
        c.Tensor(dtype=c.TENSOR_TYPE_FLOAT16, shape=[2**31, 2**31, 2**31], data=b"\0\0"),
    ],
)
def test_a_tensor_that_lies_about_its_size_is_refused(wired: c.Tensor) -> None:
    with pytest.raises(InvalidInput):
        tensor_of(wired)


def test_other_types_do_not_travel() -> None:
    with pytest.raises(InvalidInput, match=r"torch\.int64 does not travel"):
        tensor_proto(torch.zeros(1, dtype=torch.int64))


# --- memory


def test_a_policy_that_is_complete_needs_no_defaults() -> None:
    budget = complete_policy(c.MemoryPolicy(protect_s=0), max_trunk_tokens=900)
    assert policy_of(budget) == TokenBudget(max_trunk_tokens=900, protect_s=0)
    assert all(budget.HasField(field) for field in ("max_trunk_tokens", "low_water", "protect_s"))
    published = c.MemoryPolicy(kind=c.MEMORY_POLICY_KIND_PUBLISHED_PEAK_END, trigger_frames=9)
    assert policy_of(complete_policy(published, max_trunk_tokens=900)) == PublishedPeakEnd(trigger_frames=9)
    probable = c.MemoryPolicy(kind=c.MEMORY_POLICY_KIND_PROBABILISTIC_PEAK_END, seed=4, strength=0)
    assert policy_of(complete_policy(probable, max_trunk_tokens=9)) == ProbabilisticPeakEnd(
        seed=4, strength=0
    )


@pytest.mark.parametrize("asked", [{"low_water": 2.0}, {"max_trunk_tokens": 0}, {"kind": 77}])
def test_a_policy_that_cannot_work_is_the_callers_to_mend(asked: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match=r"settings\.memory"):
        policy_of(complete_policy(c.MemoryPolicy(**asked), max_trunk_tokens=900))  # type: ignore[arg-type]


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
    ledger = ledger_of(map(LedgerEntry.of, segments), coming_tokens=7)
    first, second, third = ledger.frames
    assert (first, third) == (
        FrameEntry(FrameNumber(1), 1, 0.1, 10, 0),
        FrameEntry(FrameNumber(3), 2, 0.5, 10, 20 * 10**9),
    )
    assert second.surprise == math.inf
    assert (ledger.captions, ledger.fixed_tokens) == ((CaptionEntry(1, 10),), 17)
    forget = TokenBudget(max_trunk_tokens=50, low_water=1).plan(ledger)
    assert forget == Forget(frozenset({FrameNumber(2)}))
    plan = plan_proto(forget, ledger, batch=4, coming_tokens=7)
    assert forget_of(plan) == forget
    assert (plan.batch, plan.coming_tokens, plan.ledger_version) == (4, 7, ledger.version)
    assert ledger_of([], coming_tokens=0) == Ledger((), (), 0)


# --- settings


def test_what_is_set_replaces_the_recommendation_and_nothing_is_left_open() -> None:
    recommended = StreamSettings(gate=GateSettings(alpha=1.07, min_gap_s=2), max_trunk_tokens=1400)
    asked = c.WatchSettings(
        mode=c.DECODING_MODE_REFERENCE,
        gate=c.GateSettings(min_gap_s=0, hysteresis=True, max_silence_s=9),
        max_caption_tokens=32,
        task_prompt="Watch.",
        memory=c.MemoryPolicy(protect_s=3),
    )
    whole = complete_settings(asked, recommended)
    settings = stream_settings(whole, recommended)
    assert settings.mode is Mode.REFERENCE
    assert settings.gate == GateSettings(1.07, 0.0, hysteresis=True, max_silence_s=9)
    assert (settings.max_caption_tokens, settings.task_prompt) == (32, "Watch.")
    assert settings.max_trunk_tokens == 1400
    assert settings.memory == TokenBudget(max_trunk_tokens=1400, protect_s=3)
    assert stream_settings(whole, StreamSettings()) == settings, "nothing depends on the other's defaults"


def test_nothing_asked_for_is_the_recommendation() -> None:
    recommended = StreamSettings(gate=GateSettings(alpha=1.07), max_trunk_tokens=1400)
    settings = stream_settings(complete_settings(c.WatchSettings(), recommended), recommended)
    assert settings.memory == TokenBudget(max_trunk_tokens=1400)
    assert (settings.gate, settings.mode) == (recommended.gate, recommended.mode)
    assert settings.task_prompt is None


@pytest.mark.parametrize(
    "asked",
    [
        c.WatchSettings(gate=c.GateSettings(alpha=0.5)),
        c.WatchSettings(max_caption_tokens=0),
        c.WatchSettings(memory=c.MemoryPolicy(max_trunk_tokens=0)),
        c.WatchSettings(mode=9),  # type: ignore[arg-type]
    ],
)
def test_values_that_cannot_work_are_the_callers_to_mend(asked: c.WatchSettings) -> None:
    with pytest.raises(InvalidInput):
        stream_settings(complete_settings(asked, StreamSettings()), StreamSettings())
