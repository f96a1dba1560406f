"""A frame, as the engine takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from livestar.core.ids import FrameNumber

TokensT = TypeVar("TokensT")


@dataclass(frozen=True)
class EncodedFrame(Generic[TokensT]):
    """One sampled frame after the vision encoder.

    Attributes:
        number: position in the stream, from 1; gaps are allowed (a dropped frame keeps its number).
        pts_ns: presentation time, ns from the start of the stream.
        visual_tokens: its 16 visual tokens, [16, D].
    """

    number: FrameNumber
    pts_ns: int
    visual_tokens: TokensT
