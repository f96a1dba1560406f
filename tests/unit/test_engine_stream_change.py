from __future__ import annotations

from dataclasses import replace

import pytest

from livestar.core.ids import ChannelId, FrameNumber, StreamId
from livestar.engine import GateSettings, StreamSettings, StreamSnapshot
from livestar.engine.channel import NARRATION, ChannelKind
from livestar.engine.dialogue import Chain
from livestar.engine.snapshot import SavedChannel, SavedSegment, difference
from livestar.kv import SegmentKind
from livestar.memory import Forget

pytestmark = pytest.mark.unit

PREAMBLE = SavedSegment(SegmentKind.PREAMBLE, (1, 2, 3))


def frame(number: int, clip: int = 1) -> SavedSegment:
    return SavedSegment(SegmentKind.FRAME, (7,) * 10, clip, FrameNumber(number), number * 10**9, 0.5)


def caption(clip: int) -> SavedSegment:
    return SavedSegment(SegmentKind.CAPTION, (4, 5), clip)


def channel(name: str = "narration", *, exceeded: bool = False) -> SavedChannel:
    kind = ChannelKind.NARRATION if name == NARRATION else ChannelKind.STANDING
    return SavedChannel(
        ChannelId(name), kind, (), GateSettings(), None, exceeded, held=None, asked=True, cancelled=False
    )


def snapshot(*segments: SavedSegment, gap: int = 0, **changes: object) -> StreamSnapshot:
    positions = [
        gap * (index > 0) + sum(len(s.ids) for s in segments[:index]) for index in range(len(segments))
    ]
    whole = StreamSnapshot(StreamId("s"), StreamSettings(), segments, tuple(positions), (channel(),))
    return replace(whole, **changes)


def test_a_silent_frame_is_one_segment_and_one_position() -> None:
    before, after = snapshot(PREAMBLE, frame(1)), snapshot(PREAMBLE, frame(1), frame(2))
    change = difference(before, after)
    assert (change.appended, change.positions) == ((frame(2),), (3 + 10,))
    assert not change.forgotten
    assert (change.channels, change.open_channels) == ((), (NARRATION,))
    assert before.after(change) == after


def test_forgetting_names_frames_and_clips_and_tells_who_moved() -> None:
    before = snapshot(PREAMBLE, frame(1), caption(1), frame(2, 2), frame(3, 2))
    after = snapshot(PREAMBLE, frame(2, 2), frame(3, 2), frame(4, 2))
    change = difference(before, after)
    assert change.forgotten == Forget(frozenset({FrameNumber(1)}), frozenset({1}))
    assert change.appended == (frame(4, 2),)
    assert change.positions == (3, 13, 23)
    assert before.after(change) == after


def test_segments_that_stay_where_they_are_are_not_told_again() -> None:
    before = snapshot(PREAMBLE, frame(1), frame(2))
    after = snapshot(PREAMBLE, frame(2), gap=10)
    change = difference(before, after)
    assert (change.appended, change.positions) == ((), ())
    assert before.after(change) == after


def test_positions_may_move_without_anything_else() -> None:
    before, after = snapshot(PREAMBLE, frame(1), gap=10), snapshot(PREAMBLE, frame(1))
    change = difference(before, after)
    assert (change.appended, change.positions) == ((), (3,))
    assert before.after(change) == after


def test_channels_and_chains_are_told_when_they_change_and_keep_their_order() -> None:
    chains = (Chain("a", ((1,),)), Chain("b", ((2,),)))
    before = snapshot(PREAMBLE, channels=(channel(), channel("one"), channel("two")), chains=chains)
    grown = (chains[1], Chain("a", ((1,), (3,))))
    after = snapshot(
        PREAMBLE, channels=(channel(exceeded=True), channel("two"), channel("one")), chains=grown
    )
    change = difference(before, after)
    assert (change.channels, change.open_channels) == ((after.channels[0],), (NARRATION, "two", "one"))
    assert (change.chains, change.open_chains) == ((grown[1],), ("b", "a"))
    assert before.after(change) == after


def test_visual_tokens_follow_their_frames() -> None:
    tokens = {FrameNumber(n): object() for n in (1, 2, 3)}
    before = snapshot(PREAMBLE, frame(1), visual_tokens={FrameNumber(1): tokens[FrameNumber(1)]})
    change = difference(before, snapshot(PREAMBLE, frame(2), frame(3)))
    after = before.after(change, tokens)
    assert after.visual_tokens == {n: tokens[n] for n in (FrameNumber(2), FrameNumber(3))}
