"""Questions that are asked at a time of the video."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from livestar.core.errors import InvalidInput
from livestar.core.ids import FrameNumber, QuestionId


@dataclass(frozen=True)
class TimedQuestion:
    """A question to ask once the stream reaches `at_s` seconds, or at the end of a shorter video."""

    at_s: float
    text: str

    @classmethod
    def parse(cls, spelled: str) -> Self:
        """Reads SECONDS:TEXT.

        Raises:
            InvalidInput: it is something else.
        """
        seconds, _, text = spelled.partition(":")
        try:
            at_s = float(seconds)
        except ValueError:
            at_s = math.nan
        if not (0 <= at_s < math.inf and text.strip()):
            raise InvalidInput(f"--ask is SECONDS:TEXT, as in '12:How many people?', not '{spelled}'")
        return cls(at_s, text.strip())


@dataclass(frozen=True)
class Asked:
    """A question has been asked; its `Answer` follows.

    Attributes:
        question: id that the answer carries.
        frame: the last frame seen.
        pts_ns: its presentation time.
        text: the question.
    """

    question: QuestionId
    frame: FrameNumber
    pts_ns: int
    text: str
