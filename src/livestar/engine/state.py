"""What a stream is made of, shared by the two forms of decoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from livestar.core.decision import Event
from livestar.core.errors import InvalidInput
from livestar.core.frame import EncodedFrame, Moment
from livestar.core.ids import ChannelId, StreamId
from livestar.engine.channel import NARRATION, Channel
from livestar.engine.settings import StreamSettings
from livestar.engine.speech import SpeechSettings
from livestar.kv import Content, Segment, SegmentKind, Trunk, VisualSpan
from livestar.memory import Ledger
from livestar.model import ChatTemplate, Tokenizer

Frame = EncodedFrame[torch.Tensor]


@dataclass
class StreamState:
    """The state of one stream.

    Attributes:
        id: name of the stream.
        settings: how it is watched.
        tokenizer: of the checkpoint.
        template: the checkpoint's chat template, as blocks of ids.
        trunk: the context that stays.
        emit: takes events in the order in which they happen.
        channels: the narration, standing questions and probes.
        clip: the current clip, from 1; 0 before the first caption.
        seen: the last frame whose place in the trunk is settled.
        unsettled: segments at the end of the trunk that belong to a frame under verification and may be taken back.
        rebuilt: the trunk was recomputed because a likelihood was not finite, and none has been finite since.
    """

    id: StreamId
    settings: StreamSettings
    tokenizer: Tokenizer
    template: ChatTemplate
    trunk: Trunk
    emit: Callable[[Event], None]
    channels: dict[ChannelId, Channel] = field(default_factory=dict)
    clip: int = 0
    seen: Moment | None = None
    unsettled: int = 0
    rebuilt: bool = False

    @property
    def narration(self) -> Channel:
        """The channel that every stream has."""
        return self.channels[NARRATION]

    def task_prompt(self) -> tuple[int, ...]:
        """Ids of the instruction before the first frame."""
        return task_prompt(self.settings, self.template)

    def line(self, frame: Frame) -> Content:
        """The frame line: its displayed index and its visual tokens."""
        limit = self.settings.frame_index_limit
        index = frame.number if limit is None else (frame.number - 1) % limit + 1
        ids = np.asarray(self.template.frame_line(index), dtype=np.int64)
        at = int(np.argmax(ids == self.tokenizer.img_context_id))
        return Content(ids, (VisualSpan(at, frame.visual_tokens, frame.number),))

    def frame_segment(self, frame: Frame, content: Content, clip: int) -> Segment:
        """A trunk segment that shows a frame."""
        return Segment(SegmentKind.FRAME, content, clip=clip, frame=frame.number, pts_ns=frame.pts_ns)

    def speech_settings(self, *, forbid_control: bool, score_stop: bool) -> SpeechSettings:
        """How this stream generates."""
        stop = self.template.stop_id
        forbidden = sorted(self.tokenizer.reserved_ids - {stop}) if forbid_control else ()
        return SpeechSettings(
            stop_id=stop,
            max_tokens=self.settings.max_caption_tokens,
            repetition_penalty=self.settings.repetition_penalty,
            forbidden=tuple(forbidden),
            score_stop=score_stop,
        )


def task_prompt(settings: StreamSettings, template: ChatTemplate) -> tuple[int, ...]:
    """Ids of the instruction before the first frame: the stream's own, or the checkpoint's."""
    if settings.task_prompt is None:
        return template.task_prompt
    return template.text(settings.task_prompt.rstrip() + "\n")


def check_settings(settings: StreamSettings, template: ChatTemplate, *, max_positions: int) -> None:
    """Passes when a stream of these settings can run on a network with so many positions, at any length.

    Raises:
        InvalidInput: naming the setting.
    """
    if settings.max_trunk_tokens < (needed := min_trunk_tokens(settings, template)):
        raise InvalidInput(
            f"max_trunk_tokens is at least {needed} with this task prompt and max_caption_tokens, "
            f"not {settings.max_trunk_tokens}"
        )
    if settings.max_trunk_tokens + settings.max_branch_rows >= max_positions:
        raise InvalidInput(
            f"max_trunk_tokens is less than {max_positions - settings.max_branch_rows} with these caption, question and chain "
            f"lengths on a network of {max_positions} positions, not {settings.max_trunk_tokens}"
        )
    if settings.memory is not None:
        try:
            settings.memory.plan(Ledger((), (), fixed_tokens=needed))
        except ValueError as error:
            raise InvalidInput(f"the memory policy cannot hold what is never forgotten: {error}") from error


def min_trunk_tokens(settings: StreamSettings, template: ChatTemplate) -> int:
    """The smallest `max_trunk_tokens` that works: what is never forgotten, a frame that stays, a frame that comes, a caption."""
    turn = len(template.user_open) + len(template.turn_close)
    fixed = len(template.system) + len(task_prompt(settings, template)) + turn
    frame = turn + len(template.frame_line(settings.frame_index_limit or 99_999_999))
    caption = settings.max_caption_tokens + len(template.assistant_open) + 2 * turn
    return fixed + 2 * frame + caption
