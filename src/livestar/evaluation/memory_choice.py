"""Memories by name, at equal budgets: what an ablation of forgetting compares."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from livestar.engine import StreamSettings
from livestar.memory import Fifo, ForgetPolicy, KeepEverything, PublishedPeakEnd, RandomDrop, Uniform
from livestar.model import ChatTemplate, LoadedModel


class MemoryChoice(StrEnum):
    """What forgets. Each but the last keeps the trunk within `max_trunk_tokens`.

    TOKEN_BUDGET is the default of a live stream. PEAK_END is the published rule, triggered by as many frames as fill the
    low-water mark of the budget, where the others stop too. KEEP_EVERYTHING never forgets: the trunk holds the whole clip.
    """

    TOKEN_BUDGET = "token-budget"  # noqa: S105 - tokens of text
    PEAK_END = "peak-end"
    UNIFORM = "uniform"
    FIFO = "fifo"
    RANDOM = "random"
    KEEP_EVERYTHING = "keep-everything"

    def fit(self, stream: StreamSettings, model: LoadedModel, num_frames: int) -> StreamSettings:
        """Settings that watch a clip of so many frames with this memory."""
        if self is MemoryChoice.KEEP_EVERYTHING:
            whole = _whole_clip_tokens(stream, model.template, num_frames)
            possible = model.network.config.llm_config.max_position_embeddings - stream.max_branch_rows - 1
            return replace(stream, memory=KeepEverything(), max_trunk_tokens=min(whole, possible))
        return replace(stream, memory=self._policy(stream.max_trunk_tokens, model.template) or stream.memory)

    def _policy(self, max_trunk_tokens: int, template: ChatTemplate) -> ForgetPolicy | None:
        match self:
            case MemoryChoice.PEAK_END:
                low_water = Fifo(max_trunk_tokens=max_trunk_tokens).low_water
                return PublishedPeakEnd(max(1, int(low_water * max_trunk_tokens) // _frame_tokens(template)))
            case MemoryChoice.UNIFORM:
                return Uniform(max_trunk_tokens=max_trunk_tokens)
            case MemoryChoice.FIFO:
                return Fifo(max_trunk_tokens=max_trunk_tokens)
            case MemoryChoice.RANDOM:
                return RandomDrop(max_trunk_tokens=max_trunk_tokens)
            case _:
                return None


def _whole_clip_tokens(stream: StreamSettings, template: ChatTemplate, num_frames: int) -> int:
    """Most tokens that a trunk takes which forgets nothing: every frame with a caption of the longest kind."""
    caption = len(template.assistant_open) + stream.max_caption_tokens + len(template.turn_close)
    fixed = len(template.system) + len(template.task_prompt)
    return fixed + (num_frames + 2) * (_frame_tokens(template) + caption)


def _frame_tokens(template: ChatTemplate) -> int:
    turn = len(template.user_open) + len(template.turn_close)
    return turn + len(template.frame_line(999))
