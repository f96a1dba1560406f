"""A frame, as the engine takes it, and its place in the stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from livestar.core.ids import FrameNumber

MAX_NUMBER = 2**48
"""Frame numbers are at most this."""

MAX_PTS_NS = 2**62
"""Presentation times are at most this far from the start, in ns."""

TokensT = TypeVar("TokensT")


@dataclass(frozen=True)
class Moment:
    """The place of a frame in its stream.

    Attributes:
        number: position in the stream, from 1; gaps are allowed (a dropped frame keeps its number).
        pts_ns: presentation time, ns from the start of the stream.
    """

    number: FrameNumber
    pts_ns: int


@dataclass(frozen=True)
class EncodedFrame(Moment, Generic[TokensT]):
    """One sampled frame after the vision encoder.

    Attributes:
        visual_tokens: its 16 visual tokens, [16, D].
    """

    visual_tokens: TokensT
