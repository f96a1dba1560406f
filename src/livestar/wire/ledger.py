"""Trunk segments as a ledger, and what to forget: all that the memory service has to understand of a stream."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from livestar.api.v1.memory_pb2 import (
    SEGMENT_KIND_CAPTION,
    SEGMENT_KIND_FRAME,
    SEGMENT_KIND_PREAMBLE,
    ForgetPlan,
    Segment,
)
from livestar.core.ids import FrameNumber
from livestar.memory import CaptionEntry, Forget, FrameEntry, Ledger


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One segment without its ids.

    Attributes:
        order: its place in the trunk.
        fixed_tokens: tokens of a preamble, else 0.
        entry: what may be forgotten; None for a preamble.
    """

    order: int
    fixed_tokens: int
    entry: FrameEntry | CaptionEntry | None

    @classmethod
    def of(cls, segment: Segment) -> LedgerEntry:
        """The entry of a segment."""
        size = len(segment.token_ids)
        if segment.kind == SEGMENT_KIND_FRAME:
            number = FrameNumber(segment.frame_sequence)
            frame = FrameEntry(number, segment.clip, segment.nll, size, segment.pts_ns)
            return cls(segment.order, 0, frame)
        if segment.kind == SEGMENT_KIND_CAPTION:
            return cls(segment.order, 0, CaptionEntry(segment.clip, size))
        assert segment.kind == SEGMENT_KIND_PREAMBLE, "a segment without a kind was stored"
        return cls(segment.order, size, None)


def ledger_of(entries: Iterable[LedgerEntry], *, coming_tokens: int) -> Ledger:
    """The ledger of a trunk, with the tokens that are to come counted as if they were there: what the engine plans for."""
    ordered = sorted(entries, key=lambda entry: entry.order)
    return Ledger(
        frames=tuple(e.entry for e in ordered if isinstance(e.entry, FrameEntry)),
        captions=tuple(e.entry for e in ordered if isinstance(e.entry, CaptionEntry)),
        fixed_tokens=coming_tokens + sum(e.fixed_tokens for e in ordered),
    )


def plan_proto(forget: Forget, ledger: Ledger, *, batch: int, coming_tokens: int) -> ForgetPlan:
    """A plan for the wire."""
    return ForgetPlan(
        frame_sequences=sorted(forget.frames),
        caption_clips=sorted(forget.captions),
        batch=batch,
        coming_tokens=coming_tokens,
        ledger_version=ledger.version,
    )


def forget_of(plan: ForgetPlan) -> Forget:
    """What a plan names."""
    return Forget(frozenset(map(FrameNumber, plan.frame_sequences)), frozenset(plan.caption_clips))
