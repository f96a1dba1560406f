"""A stream's memory between the engine and the memory service: segments with a place that never changes, and the rest as a head.

Positions are not kept: under the policies `contiguous` and `recomputed` they follow from the lengths.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import accumulate

from livestar.api.v1 import common_pb2, memory_pb2
from livestar.core.errors import InvalidInput
from livestar.core.ids import ChannelId, FrameNumber, QuestionId, StreamId
from livestar.engine import StreamSettings, StreamSnapshot
from livestar.engine.channel import ChannelKind
from livestar.engine.dialogue import Chain
from livestar.engine.snapshot import SavedCaption, SavedChannel, SavedSegment
from livestar.kv import SegmentKind
from livestar.wire.settings import gate_of, gate_proto
from livestar.wire.tensors import tensor_of

_KINDS = {
    SegmentKind.PREAMBLE: memory_pb2.SEGMENT_KIND_PREAMBLE,
    SegmentKind.FRAME: memory_pb2.SEGMENT_KIND_FRAME,
    SegmentKind.CAPTION: memory_pb2.SEGMENT_KIND_CAPTION,
}
_KINDS_BACK = {number: kind for kind, number in _KINDS.items()}
_CHANNELS = {
    ChannelKind.NARRATION: common_pb2.CHANNEL_KIND_NARRATION,
    ChannelKind.STANDING: common_pb2.CHANNEL_KIND_STANDING,
    ChannelKind.PROBE: common_pb2.CHANNEL_KIND_PROBE,
}
_CHANNELS_BACK = {number: kind for kind, number in _CHANNELS.items()}


def segment_proto(segment: SavedSegment, order: int, image_token_id: int) -> memory_pb2.Segment:
    """A segment for the wire."""
    shows = segment.kind is SegmentKind.FRAME
    return memory_pb2.Segment(
        order=order,
        kind=_KINDS[segment.kind],
        token_ids=segment.ids,
        clip=segment.clip,
        frame_sequence=segment.frame,
        pts_ns=segment.pts_ns,
        nll=_nan_if_none(segment.nll),
        visual_at=segment.ids.index(image_token_id) if shows else 0,
    )


def fill_head(head: memory_pb2.StreamHead, snapshot: StreamSnapshot, texts: Mapping[ChannelId, str]) -> None:
    """Writes what a snapshot says of channels, chains and clip into a head.

    Args:
        head: the rest of it is the caller's.
        snapshot: visual tokens are not needed.
        texts: question or text of each channel but the narration.
    """
    head.clip = snapshot.clip
    del head.channels[:]
    head.channels.extend(_channel_proto(c, texts.get(c.id, "")) for c in snapshot.channels)
    del head.chains[:]
    for chain in snapshot.chains:
        turns = [memory_pb2.ChainTurn(token_ids=turn) for turn in chain.turns]
        head.chains.append(memory_pb2.ChainState(chain=chain.name, turns=turns))


def snapshot_of(
    stream: StreamId,
    settings: StreamSettings,
    head: memory_pb2.StreamHead,
    segments: Iterable[memory_pb2.Segment],
    kept: Iterable[memory_pb2.KeptFrame],
) -> StreamSnapshot:
    """The snapshot that the memory service keeps of a stream.

    Args:
        stream: its name.
        settings: how it is to be watched.
        head: what `MemoryService.Load` gave first.
        segments: what it gave then, in order.
        kept: what it gave last.

    Raises:
        InvalidInput: a value cannot be right.
    """
    saved = tuple(_segment(segment) for segment in segments)
    ends = list(accumulate((len(segment.ids) for segment in saved), initial=0))
    return StreamSnapshot(
        stream=stream,
        settings=settings,
        segments=saved,
        positions=tuple(ends[:-1]),
        channels=tuple(map(_channel, head.channels)),
        chains=tuple(
            Chain(chain.chain, tuple(tuple(turn.token_ids) for turn in chain.turns)) for chain in head.chains
        ),
        clip=head.clip,
        last_frame=FrameNumber(head.last_frame_sequence),
        last_pts_ns=head.decided_pts_ns,
        next_question=QuestionId(head.last_question_id + 1),
        visual_tokens={FrameNumber(frame.frame_sequence): tensor_of(frame.tokens) for frame in kept},
    )


def _segment(proto: memory_pb2.Segment) -> SavedSegment:
    if proto.kind not in _KINDS_BACK:
        raise InvalidInput(f"segment {proto.order} has no kind")
    return SavedSegment(
        kind=_KINDS_BACK[proto.kind],
        ids=tuple(proto.token_ids),
        clip=proto.clip,
        frame=FrameNumber(proto.frame_sequence),
        pts_ns=proto.pts_ns,
        nll=_none_if_nan(proto.nll),
    )


def _channel_proto(channel: SavedChannel, text: str) -> memory_pb2.ChannelState:
    held = channel.held
    return memory_pb2.ChannelState(
        channel=channel.id,
        kind=_CHANNELS[channel.kind],
        text=text,
        prompt_ids=channel.prompt,
        gate=gate_proto(channel.gate),
        held=memory_pb2.HeldCaption(
            token_ids=held.ids,
            text=held.text,
            reference_nll=_nan_if_none(held.reference_nll),
            ended=held.ended,
        )
        if held
        else None,
        spoke_pts_ns=channel.spoke_pts_ns,
        exceeded=channel.exceeded,
        asked=channel.asked,
        cancelled=channel.cancelled,
    )


def _channel(proto: memory_pb2.ChannelState) -> SavedChannel:
    held = proto.held
    if proto.kind not in _CHANNELS_BACK:
        raise InvalidInput(f"channel '{proto.channel}' has no kind")
    return SavedChannel(
        id=ChannelId(proto.channel),
        kind=_CHANNELS_BACK[proto.kind],
        prompt=tuple(proto.prompt_ids),
        gate=gate_of(proto.gate),
        spoke_pts_ns=proto.spoke_pts_ns if proto.HasField("spoke_pts_ns") else None,
        exceeded=proto.exceeded,
        held=SavedCaption(tuple(held.token_ids), held.text, _none_if_nan(held.reference_nll), held.ended)
        if proto.HasField("held")
        else None,
        asked=proto.asked,
        cancelled=proto.cancelled,
    )


def _none_if_nan(nll: float) -> float | None:
    return None if math.isnan(nll) else nll


def _nan_if_none(nll: float | None) -> float:
    return math.nan if nll is None else nll
