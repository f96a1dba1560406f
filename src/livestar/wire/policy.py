"""The memory policy that a caller asks for, and the one that the engine and the memory service both plan with."""

from __future__ import annotations

from livestar.api.v1.common_pb2 import (
    MEMORY_POLICY_KIND_PROBABILISTIC_PEAK_END,
    MEMORY_POLICY_KIND_PUBLISHED_PEAK_END,
    MEMORY_POLICY_KIND_TOKEN_BUDGET,
    MemoryPolicy,
)
from livestar.core.errors import InvalidInput
from livestar.memory import ForgetPolicy, ProbabilisticPeakEnd, PublishedPeakEnd, TokenBudget


def complete_policy(asked: MemoryPolicy, *, max_trunk_tokens: int) -> MemoryPolicy:
    """A copy with every field of its kind set: from then on nobody's defaults matter."""
    kind = asked.kind or MEMORY_POLICY_KIND_TOKEN_BUDGET
    whole = MemoryPolicy(max_trunk_tokens=max_trunk_tokens)
    whole.MergeFrom(_DEFAULTS.get(kind, MemoryPolicy()))
    whole.MergeFrom(asked)
    whole.kind = kind
    return whole


def policy_of(memory: MemoryPolicy) -> ForgetPolicy:
    """The policy that a complete `MemoryPolicy` names: equal ones plan equally, in every process.

    Raises:
        InvalidInput: a value cannot work.
    """
    try:
        if memory.kind == MEMORY_POLICY_KIND_TOKEN_BUDGET:
            return TokenBudget(
                max_trunk_tokens=memory.max_trunk_tokens,
                low_water=memory.low_water,
                protect_s=memory.protect_s,
            )
        if memory.kind == MEMORY_POLICY_KIND_PUBLISHED_PEAK_END:
            return PublishedPeakEnd(memory.trigger_frames)
        if memory.kind == MEMORY_POLICY_KIND_PROBABILISTIC_PEAK_END:
            return ProbabilisticPeakEnd(memory.window_frames, memory.strength, memory.seed)
    except ValueError as error:
        raise InvalidInput(f"settings.memory cannot work: {error}") from error
    raise InvalidInput(f"settings.memory.kind {memory.kind} is not a policy: choose one")


_BUDGET = TokenBudget()
_DICE = ProbabilisticPeakEnd()

_DEFAULTS = {
    MEMORY_POLICY_KIND_TOKEN_BUDGET: MemoryPolicy(low_water=_BUDGET.low_water, protect_s=_BUDGET.protect_s),
    MEMORY_POLICY_KIND_PUBLISHED_PEAK_END: MemoryPolicy(trigger_frames=PublishedPeakEnd().trigger_frames),
    MEMORY_POLICY_KIND_PROBABILISTIC_PEAK_END: MemoryPolicy(
        window_frames=_DICE.window_frames, strength=_DICE.strength, seed=_DICE.seed
    ),
}
