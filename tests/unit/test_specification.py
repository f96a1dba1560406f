from __future__ import annotations

import math

import pytest

from livestar.api.v1 import common_pb2 as c
from livestar.bus import checked
from livestar.core.address import without_secrets
from livestar.core.errors import InvalidInput
from livestar.core.ids import channel_id, stream_id

pytestmark = pytest.mark.unit


def spec(**fields: object) -> c.StreamSpec:
    return c.StreamSpec(**{"stream_id": "door", "source": "clip.mp4", **fields})  # type: ignore[arg-type]


def with_gate(**fields: float) -> dict[str, object]:
    return {"settings": c.WatchSettings(gate=c.GateSettings(**fields))}  # type: ignore[arg-type]


def with_memory(**fields: float) -> dict[str, object]:
    return {"settings": c.WatchSettings(memory=c.MemoryPolicy(**fields))}  # type: ignore[arg-type]


def with_channels(*channels: c.ChannelSpec) -> dict[str, object]:
    return {"settings": c.WatchSettings(channels=channels)}


def test_defaults_are_filled_in_and_the_rest_is_left_to_its_owner() -> None:
    asked = spec(stream_id="")
    full = checked(asked)
    assert full.stream_id.startswith("s-")
    assert (full.fps, full.max_in_flight, full.max_events) == (1.0, 8, 10_000)
    assert full.pace == c.PACE_UNSPECIFIED
    assert not full.settings.gate.HasField("alpha")
    assert asked.stream_id == "", "the caller's own is not touched"
    assert checked(full) == full


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"stream_id": "a b"}, "stream id"),
        ({"stream_id": "-a"}, "stream id"),
        ({"stream_id": "a" * 65}, "stream id"),
        ({"stream_id": "a\n"}, "stream id"),
        ({"stream_id": "{a}"}, "stream id"),
        ({"source": " "}, "source"),
        ({"source": "x" * 2049}, "source"),
        ({"source": "rtsp://u:hunter2@h/\x00"}, "source"),
        ({"title": "t" * 201}, "title"),
        ({"fps": -1}, "fps"),
        ({"fps": 31}, "fps"),
        ({"fps": math.nan}, "fps"),
        ({"max_in_flight": 257}, "max_in_flight"),
        ({"max_events": 15}, "max_events"),
        ({"pace": 9}, "pace"),
        (with_gate(alpha=0.99), "settings.gate.alpha"),
        (with_gate(alpha=math.inf), "settings.gate.alpha"),
        (with_gate(min_gap_s=-1), "settings.gate.min_gap_s"),
        (with_gate(min_gap_s=5, max_silence_s=5), "settings.gate.max_silence_s"),
        (with_memory(low_water=0), "settings.memory.low_water"),
        (with_memory(strength=math.nan), "settings.memory.strength"),
        (with_memory(max_trunk_tokens=0), "settings.memory.max_trunk_tokens"),
        ({"settings": c.WatchSettings(max_caption_tokens=0)}, "settings.max_caption_tokens"),
        ({"settings": c.WatchSettings(task_prompt="x" * 4097)}, "settings.task_prompt"),
        (with_channels(c.ChannelSpec(channel="narration", text="x")), "narration"),
        (with_channels(c.ChannelSpec(channel="q", text="")), r"settings.channels\[0\].text"),
        (with_channels(*[c.ChannelSpec(channel="q", text="x")] * 2), "settings.channels"),
        (with_channels(*[c.ChannelSpec(channel=f"q{n}", text="x") for n in range(17)]), "settings.channels"),
        (
            with_channels(c.ChannelSpec(channel="q", text="x", gate=c.GateSettings(alpha=0))),
            r"settings.channels\[0\].gate.alpha",
        ),
    ],
)
def test_what_cannot_work_is_refused_by_name_and_never_quotes_the_source(
    fields: dict[str, object], named: str
) -> None:
    with pytest.raises(InvalidInput, match=named) as refused:
        checked(spec(**fields))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "0", "a" * 64])
def test_ids_that_are_safe_everywhere_pass(name: str) -> None:
    assert stream_id(name) == channel_id(name) == name


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://user:pa/ss@cam/1", "rtsp://cam/1"),
        ("https://h:80/@somebody/live", "https://h:80/@somebody/live"),
        ("https://[::1]/a@b", "https://[::1]/a@b"),
        ("rtsp://user:p@ss@cam:554/1?token=x#y", "rtsp://cam:554/1"),
        ("redis://:secret@h:1/0", "redis://h:1/0"),
        ("https://h/p#frag", "https://h/p"),
        ("https://h?u=a@b", "https://h"),
        ("/videos/a@b?.mp4", "/videos/a@b?.mp4"),
    ],
)
def test_addresses_lose_their_secrets(address: str, shown: str) -> None:
    assert without_secrets(address) == shown
