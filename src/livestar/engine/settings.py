"""How a stream is watched."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

from livestar.engine.gate import GateSettings
from livestar.kv import PositionPolicy
from livestar.memory import ForgetPolicy


class Mode(StrEnum):
    """The two forms of response-silence decoding.

    BRANCH evaluates the held caption as a branch on top of the frames, as SCAM trains it: one pass a frame, and the
    reference perplexity comes with the generation. REFERENCE reproduces the published decisions one for one: captions stand
    in the history, verification repeats the held one in a new turn, and a self-check pass sets the reference.
    """

    BRANCH = "branch"
    REFERENCE = "reference"


@dataclass(frozen=True)
class StreamSettings:
    """Settings of one stream; all have working defaults.

    Attributes:
        mode: form of response-silence decoding.
        gate: when the narration speaks.
        question_alpha: sensitivity of standing questions; None takes the narration's.
        max_caption_tokens: captions and answers are closed at this length.
        repetition_penalty: over the tokens of the current caption only; 1.0 is off.
        terminal_captions: BRANCH only: the last caption of each clip stays visible to later clips (the paper's SCAM); False
            hides every caption from everything after it (the released code's).
        task_prompt: instruction before the first frame; None takes the checkpoint's.
        frame_index_limit: displayed frame indices wrap after this one (a longer index costs more tokens and leaves the
            trained range); None counts on for ever, as published.
        max_trunk_tokens: the trunk stays under this at any length of stream, captions included.
        memory: what to forget; None takes `TokenBudget` over `max_trunk_tokens`.
        positions: what happens to the rows that stay when something is forgotten.
        max_pending_frames: frames that may wait while the stream is busy; the oldest is dropped when one more comes.
        max_open_questions: questions that may be open at a time.
        max_channels: standing questions and probes at a time.
        max_question_tokens: longer questions are refused.
        max_chain_tokens: earlier questions and answers of a chain that a follow-up sees.
    """

    mode: Mode = Mode.BRANCH
    gate: GateSettings = field(default_factory=GateSettings)
    question_alpha: float | None = None
    max_caption_tokens: int = 256
    repetition_penalty: float = 1.05
    terminal_captions: bool = True
    task_prompt: str | None = None
    frame_index_limit: int | None = 999
    max_trunk_tokens: int = 6000
    memory: ForgetPolicy | None = None
    positions: PositionPolicy = PositionPolicy.CONTIGUOUS
    max_pending_frames: int = 64
    max_open_questions: int = 4
    max_channels: int = 4
    max_question_tokens: int = 256
    max_chain_tokens: int = 512

    def __post_init__(self) -> None:
        for name in ("max_caption_tokens", "max_pending_frames", "max_question_tokens", "max_trunk_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, not {getattr(self, name)}")
        for name in ("max_open_questions", "max_channels", "max_chain_tokens"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is at least 0, not {getattr(self, name)}")
        if not self.repetition_penalty > 0:
            raise ValueError(f"repetition_penalty is more than 0, not {self.repetition_penalty}")
        if self.frame_index_limit is not None and self.frame_index_limit < 1:
            raise ValueError(f"frame_index_limit is at least 1, not {self.frame_index_limit}")

        if self.question_alpha is not None and not (
            math.isfinite(self.question_alpha) and self.question_alpha >= 1
        ):
            raise ValueError(f"question_alpha is at least 1, not {self.question_alpha}")

    @property
    def question_gate(self) -> GateSettings:
        """When a standing question is answered again, where it does not say."""
        return self.gate if self.question_alpha is None else replace(self.gate, alpha=self.question_alpha)

    @property
    def max_branch_rows(self) -> int:
        """Rows that the longest single branch may use beyond the trunk."""
        question = self.max_chain_tokens + self.max_question_tokens + self.max_caption_tokens
        self_check = 2 * self.max_caption_tokens
        return max(question, self_check) + self.max_caption_tokens + _TURNS

    @property
    def max_rows(self) -> int:
        """Cache rows that the stream may use at worst: its trunk, the narration, every channel and every open question."""
        narration = 3 * self.max_caption_tokens + _TURNS
        channel = self.max_question_tokens + self.max_caption_tokens + _TURNS
        question = self.max_branch_rows
        return (
            self.max_trunk_tokens
            + narration
            + self.max_channels * channel
            + self.max_open_questions * question
        )


_TURNS = 64
"""More than the turn markers and the frame line around a caption ever take."""
