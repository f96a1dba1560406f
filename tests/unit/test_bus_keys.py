from __future__ import annotations

from collections import Counter

import pytest

from livestar.bus import keys
from livestar.core.ids import StreamId

pytestmark = pytest.mark.unit


def test_a_shard_is_the_same_in_every_process_and_release() -> None:
    assert [keys.shard_of(StreamId(name)) for name in ("door", "yard", "a", "s-0123")] == [5, 0, 3, 0]


def test_streams_spread_over_the_shards() -> None:
    shards = Counter(keys.shard_of(StreamId(f"camera-{number}")) for number in range(800))
    assert set(shards) == set(range(keys.FRAME_SHARDS))
    assert max(shards.values()) < 2 * min(shards.values())


def test_everything_of_one_stream_lies_in_one_slot() -> None:
    door = StreamId("door")
    of_the_stream = [
        keys.tokens(door),
        keys.events(door),
        keys.stream(door),
        keys.lease("ingest", door),
        keys.ledger(door),
        keys.kept(door),
    ]
    assert {key[key.index("{") : key.index("}") + 1] for key in of_the_stream} == {"{door}"}
    assert (
        len({*of_the_stream, keys.streams(), keys.unfinished(), keys.epochs(), *keys.all_frames()}) == 9 + 8
    )
