"""Memory policies, ledgers and plans: what memory and decoder say to each other about forgetting."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from livestar.api.v1 import common_pb2, memory_pb2
from livestar.core.errors import InvalidInput
from livestar.core.ids import FrameNumber
from livestar.memory import (
    CaptionEntry,
    Forget,
    ForgetPolicy,
    FrameEntry,
    Ledger,
    ProbabilisticPeakEnd,
    PublishedPeakEnd,
    TokenBudget,
    apply,
)


def forget_policy(policy: common_pb2.MemoryPolicy) -> ForgetPolicy:
    """The policy that is asked for; `max_trunk_tokens` has to be set, everything else has defaults.

    Raises:
        InvalidInput: a value cannot work.
    """
    makers: dict[common_pb2.MemoryPolicyKind.ValueType, Callable[..., ForgetPolicy]] = {
        common_pb2.MEMORY_POLICY_KIND_UNSPECIFIED: TokenBudget,
        common_pb2.MEMORY_POLICY_KIND_TOKEN_BUDGET: TokenBudget,
        common_pb2.MEMORY_POLICY_KIND_PUBLISHED_PEAK_END: PublishedPeakEnd,
        common_pb2.MEMORY_POLICY_KIND_PROBABILISTIC_PEAK_END: ProbabilisticPeakEnd,
    }
    make = makers[policy.kind]
    names = _FIELDS[make]
    try:
        return make(**{field.name: value for field, value in policy.ListFields() if field.name in names})
    except ValueError as error:
        raise InvalidInput(f"the memory policy cannot work: {error}") from error


_FIELDS: dict[Callable[..., ForgetPolicy], tuple[str, ...]] = {
    TokenBudget: ("max_trunk_tokens", "low_water", "protect_s"),
    PublishedPeakEnd: ("trigger_frames",),
    ProbabilisticPeakEnd: ("window_frames", "strength", "seed"),
}


def plan_forgetting(policy: common_pb2.MemoryPolicy, ledger: Ledger) -> Forget:
    """What the engine would forget of this ledger: the policy's plan, and what the hard bound adds.

    Raises:
        InvalidInput: a value of the policy cannot work.
        ValueError: the fixed part and the newest frame alone exceed the bound.
    """
    forget = forget_policy(policy).plan(ledger)
    bound = TokenBudget(max_trunk_tokens=policy.max_trunk_tokens)
    return forget | bound.plan(apply(ledger, forget))


def ledger_of(segments: Iterable[memory_pb2.Segment], *, coming_tokens: int = 0) -> Ledger:
    """The ledger of a trunk; `coming_tokens` count as if they were there already, like a preamble."""
    kinds: dict[int, list[memory_pb2.Segment]] = {}
    for segment in sorted(segments, key=lambda segment: segment.order):
        kinds.setdefault(segment.kind, []).append(segment)
    preamble = kinds.get(memory_pb2.SEGMENT_KIND_PREAMBLE, [])
    return Ledger(
        frames=tuple(
            FrameEntry(FrameNumber(s.frame_sequence), s.clip, s.nll, len(s.token_ids), s.pts_ns)
            for s in kinds.get(memory_pb2.SEGMENT_KIND_FRAME, [])
        ),
        captions=tuple(
            CaptionEntry(s.clip, len(s.token_ids)) for s in kinds.get(memory_pb2.SEGMENT_KIND_CAPTION, [])
        ),
        fixed_tokens=coming_tokens + sum(len(s.token_ids) for s in preamble),
    )


def to_plan(forget: Forget, *, batch: int, coming_tokens: int) -> memory_pb2.ForgetPlan:
    """A plan for the wire."""
    return memory_pb2.ForgetPlan(
        frame_sequences=sorted(forget.frames),
        caption_clips=sorted(forget.captions),
        batch=batch,
        coming_tokens=coming_tokens,
    )


def from_plan(plan: memory_pb2.ForgetPlan) -> Forget:
    """The plan as the engine takes it."""
    return Forget(frozenset(map(FrameNumber, plan.frame_sequences)), frozenset(plan.caption_clips))
