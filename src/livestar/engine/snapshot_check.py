"""Says what is wrong with a snapshot, before anything is opened for it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import torch

from livestar.core.errors import InvalidInput
from livestar.core.frame import MAX_NUMBER, MAX_PTS_NS
from livestar.engine.channel import NARRATION, ChannelKind
from livestar.engine.dialogue import MAX_CHAINS
from livestar.engine.settings import Mode
from livestar.engine.snapshot import SavedChannel, SavedSegment, StreamSnapshot
from livestar.kv import PositionPolicy, SegmentKind
from livestar.model import ChatTemplate, LanguageConfig, Tokenizer
from livestar.model.config import NUM_VISUAL_TOKENS


class SnapshotCheck:
    """Holds snapshots to what a stream of theirs could have saved on this network.

    Args:
        language: the network's sizes.
        tokenizer: of the same checkpoint.
        template: of the same checkpoint.
    """

    def __init__(self, language: LanguageConfig, tokenizer: Tokenizer, template: ChatTemplate) -> None:
        self._language = language
        self._tokenizer = tokenizer
        self._template = template

    def __call__(self, snapshot: StreamSnapshot) -> None:
        """Passes when the snapshot can be restored.

        Raises:
            InvalidInput: it cannot, naming the field.
        """
        for problem in self._problems(snapshot):
            raise InvalidInput(f"this snapshot cannot be restored, take another one: {problem}")

    def _problems(self, snapshot: StreamSnapshot) -> Iterator[str]:
        for index, segment in enumerate(snapshot.segments):
            yield from (f"segments[{index}].{what}" for what in self._in_segment(segment))
        yield from self._in_trunk(snapshot)
        yield from self._in_positions(snapshot)
        yield from self._in_visual_tokens(snapshot)
        yield from self._in_progress(snapshot)
        for channel in snapshot.channels:
            yield from (f"channels['{channel.id}'].{what}" for what in self._in_channel(channel, snapshot))
        yield from self._in_channels(snapshot)
        yield from self._in_chains(snapshot)

    def _in_segment(self, segment: SavedSegment) -> Iterator[str]:
        if not segment.ids:
            yield "ids is empty"
        yield from self._in_ids("ids", segment.ids)
        if segment.nll is not None and math.isnan(segment.nll):
            yield "nll is NaN, which is written None"
        if segment.kind is SegmentKind.CAPTION and segment.clip < 1:
            yield f"clip is {segment.clip}, and a caption ends a clip"
        if (segment.frame >= 1) != (segment.kind is SegmentKind.FRAME):
            yield f"frame is {segment.frame}, and frames, and nothing else, count from 1"
        if segment.kind is SegmentKind.FRAME:
            at = [i for i, token in enumerate(segment.ids) if token == self._tokenizer.img_context_id]
            if len(at) != NUM_VISUAL_TOKENS or at[-1] - at[0] != NUM_VISUAL_TOKENS - 1:
                yield f"ids does not hold {NUM_VISUAL_TOKENS} places for visual tokens in a row"

    def _in_trunk(self, snapshot: StreamSnapshot) -> Iterator[str]:
        segments = snapshot.segments
        if not segments or segments[0].ids != self._template.system:
            yield "segments[0] is not the system block of this checkpoint"
        num_tokens = sum(len(segment.ids) for segment in segments)
        if num_tokens > snapshot.settings.max_trunk_tokens:
            yield f"segments holds {num_tokens} tokens, more than max_trunk_tokens"
        frames = [segment for segment in segments if segment.kind is SegmentKind.FRAME]
        for one, next_one in pairwise(frames):
            if one.frame >= next_one.frame or one.clip > next_one.clip or one.pts_ns > next_one.pts_ns:
                yield f"segments shows frame {next_one.frame} out of order"
        captions = [segment.clip for segment in segments if segment.kind is SegmentKind.CAPTION]
        if any(one >= next_one for one, next_one in pairwise(captions)):
            yield "segments holds captions out of order"

    def _in_positions(self, snapshot: StreamSnapshot) -> Iterator[str]:
        if len(snapshot.positions) != len(snapshot.segments):
            yield f"positions has {len(snapshot.positions)} values for {len(snapshot.segments)} segments"
        end, contiguous = 0, snapshot.settings.positions is not PositionPolicy.GAPS
        for index, (segment, position) in enumerate(zip(snapshot.segments, snapshot.positions, strict=False)):
            if position < end or (contiguous and position > end):
                yield f"positions[{index}] is {position} where {end} comes next"
            end = position + len(segment.ids)
        if end + snapshot.settings.max_branch_rows >= self._language.max_position_embeddings:
            yield f"positions reaches {end}, too close to the end of what the network was trained on"

    def _in_visual_tokens(self, snapshot: StreamSnapshot) -> Iterator[str]:
        expected = (NUM_VISUAL_TOKENS, self._language.hidden_size)
        for number in snapshot.frames:
            tokens = snapshot.visual_tokens.get(number)
            if tokens is None:
                yield f"visual_tokens lacks frame {number}"
            elif tuple(tokens.shape) != expected:
                yield f"visual_tokens[{number}] is {list(tokens.shape)}, not {list(expected)}"
            elif not bool(torch.isfinite(tokens).all()):
                yield f"visual_tokens[{number}] is not finite"

    def _in_progress(self, snapshot: StreamSnapshot) -> Iterator[str]:
        newest = max((segment.frame for segment in snapshot.segments), default=0)
        if not 0 <= snapshot.last_frame <= MAX_NUMBER:
            yield f"last_frame is {snapshot.last_frame}, and frames count from 1"
        if any(
            abs(pts_ns) > MAX_PTS_NS
            for pts_ns in (snapshot.last_pts_ns, *(s.pts_ns for s in snapshot.segments))
        ):
            yield "last_pts_ns or the pts_ns of a segment is out of range"
        if snapshot.last_frame < newest:
            yield f"last_frame is {snapshot.last_frame}, and the trunk shows frame {newest}"
        if snapshot.last_pts_ns < max(
            (s.pts_ns for s in snapshot.segments if s.frame), default=snapshot.last_pts_ns
        ):
            yield "last_pts_ns is before a frame of the trunk"
        if snapshot.clip < max((segment.clip for segment in snapshot.segments), default=0):
            yield f"clip is {snapshot.clip}, and the trunk holds a later one"
        if snapshot.next_question <= max(snapshot.unanswered, default=0):
            yield f"next_question is {snapshot.next_question}, an id that was given already"

    def _in_channels(self, snapshot: StreamSnapshot) -> Iterator[str]:
        channels = snapshot.channels
        if not channels or channels[0].id != NARRATION or channels[0].kind is not ChannelKind.NARRATION:
            yield "channels does not begin with the narration"
        if len({channel.id for channel in channels}) < len(channels):
            yield "channels holds a name twice"
        if len(channels) - 1 > snapshot.settings.max_channels:
            yield f"channels holds {len(channels) - 1} beside the narration, more than max_channels"
        if len(channels) > 1 and snapshot.settings.mode is not Mode.BRANCH:
            yield "channels holds more than the narration, and standing questions need mode 'branch'"

    def _in_channel(self, channel: SavedChannel, snapshot: StreamSnapshot) -> Iterator[str]:
        settings, template = snapshot.settings, self._template
        if (channel.id == NARRATION) != (channel.kind is ChannelKind.NARRATION):
            yield f"kind is '{channel.kind}'"
        yield from self._in_ids("prompt", channel.prompt)
        if len(channel.prompt) > settings.max_question_tokens + len(template.user_open) + len(
            template.turn_close
        ):
            yield f"prompt has {len(channel.prompt)} tokens, more than max_question_tokens allows"
        if channel.spoke_pts_ns is not None and channel.spoke_pts_ns > snapshot.last_pts_ns:
            yield "spoke_pts_ns is after the last frame"
        if channel.held is None:
            if channel.kind is ChannelKind.PROBE:
                yield "held is missing, and a probe measures it"
            return
        limit = (
            settings.max_question_tokens if channel.kind is ChannelKind.PROBE else settings.max_caption_tokens
        )
        yield from self._in_ids("held.ids", channel.held.ids)
        if not 1 <= len(channel.held.ids) <= limit:
            yield f"held.ids has {len(channel.held.ids)} tokens, and 1 to {limit} may be held"
        if channel.held.reference_nll is not None and math.isnan(channel.held.reference_nll):
            yield "held.reference_nll is NaN, which is written None"

    def _in_chains(self, snapshot: StreamSnapshot) -> Iterator[str]:
        chains = snapshot.chains
        if len(chains) > MAX_CHAINS:
            yield f"chains holds {len(chains)}, more than {MAX_CHAINS}"
        if len({chain.name for chain in chains}) < len(chains):
            yield "chains holds a name twice"
        for chain in chains:
            yield from self._in_ids(
                f"chains['{chain.name}'].turns", [t for turn in chain.turns for t in turn]
            )
            if sum(map(len, chain.turns)) > snapshot.settings.max_chain_tokens:
                yield f"chains['{chain.name}'] is longer than max_chain_tokens"

    def _in_ids(self, field: str, ids: tuple[int, ...] | list[int]) -> Iterator[str]:
        vocabulary = self._language.vocab_size
        wrong = next((token for token in ids if not 0 <= token < vocabulary), None)
        if wrong is not None:
            yield f"{field} holds {wrong}, no id of this network's {vocabulary}"
