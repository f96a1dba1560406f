"""Ids are distinct types, so that a stream is never handed where a channel is wanted."""

from __future__ import annotations

from typing import NewType

StreamId = NewType("StreamId", str)
"""Names a stream for as long as it lives; chosen by the caller."""

ChannelId = NewType("ChannelId", str)
"""Names one line of speech over a stream: its narration, a standing question or a probe."""

QuestionId = NewType("QuestionId", int)
"""Names one question; unique within its stream."""

FrameNumber = NewType("FrameNumber", int)
"""Position of a frame in its stream: 1, 2, 3 …, as the published model counts them."""
