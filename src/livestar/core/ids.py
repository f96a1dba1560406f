"""Ids are distinct types, so that a stream is never handed where a channel is wanted."""

from __future__ import annotations

import re
from typing import NewType

from livestar.core.errors import InvalidInput

StreamId = NewType("StreamId", str)
"""Names a stream for as long as it lives; chosen by the caller."""

ChannelId = NewType("ChannelId", str)
"""Names one line of speech over a stream: its narration, a standing question or a probe."""

NARRATION = ChannelId("narration")
"""The channel that every stream has."""

QuestionId = NewType("QuestionId", int)
"""Names one question; unique within its stream."""

FrameNumber = NewType("FrameNumber", int)
"""Position of a frame in its stream: 1, 2, 3 …, as the published model counts them."""

MAX_ID_CHARS = 64
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_ID_CHARS - 1}}}")
"""Safe in a URL, a key of Redis, a file name and a terminal."""


def stream_id(text: str) -> StreamId:
    """`text` as a stream id, when it comes from outside.

    Raises:
        InvalidInput: it cannot be one.
    """
    return StreamId(_name(text, "stream id"))


def channel_id(text: str) -> ChannelId:
    """`text` as a channel id, when it comes from outside.

    Raises:
        InvalidInput: it cannot be one.
    """
    return ChannelId(_name(text, "channel name"))


def _name(text: str, what: str) -> str:
    if not _NAME.fullmatch(text):
        raise InvalidInput(
            f"a {what} is 1 to {MAX_ID_CHARS} letters, digits, dots, underscores and dashes and starts with a letter or a "
            f"digit, not {text[:80]!r}"
        )
    return text
