"""What callers ask for, as protos; what cannot work is refused by name and never quoted."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from services.gateway.http.requests import Channel, NewStream
from services.gateway.source_address import check_source

from livestar.api.v1 import common_pb2
from livestar.bus import checked
from livestar.core.errors import BadVideo

pytestmark = pytest.mark.unit


def test_a_source_alone_is_enough_and_leaves_everything_else_to_others() -> None:
    spec = NewStream(source="clip.mp4").spec()
    assert spec == common_pb2.StreamSpec(
        source="clip.mp4",
        fps=1.0,
        settings=common_pb2.WatchSettings(gate=common_pb2.GateSettings(), memory=common_pb2.MemoryPolicy()),
    )
    assert checked(spec).stream_id


def test_every_field_arrives() -> None:
    spec = NewStream.model_validate(
        {
            "source": "rtsp://camera/1",
            "id": "door",
            "title": "Front door",
            "fps": 2.5,
            "pace": "fast",
            "loop": True,
            "mode": "branch",
            "alpha": 1.1,
            "min_gap_s": 2,
            "hysteresis": True,
            "max_silence_s": 60,
            "max_caption_tokens": 40,
            "task_prompt": "Watch the door.",
            "standing": [
                "Who is there?",
                {"text": "Is it open?", "name": "open", "alpha": 1.5},
                {"text": "A man.", "kind": "probe"},
            ],
            "retention": {
                "policy": "published",
                "trigger_frames": 80,
                "max_trunk_tokens": 2000,
                "max_events": 500,
            },
            "max_in_flight": 4,
        }
    ).spec()
    gate = common_pb2.GateSettings(alpha=1.1, min_gap_s=2, hysteresis=True, max_silence_s=60)
    standing, probe = common_pb2.CHANNEL_KIND_STANDING, common_pb2.CHANNEL_KIND_PROBE
    assert checked(spec) == common_pb2.StreamSpec(
        stream_id="door",
        source="rtsp://camera/1",
        title="Front door",
        fps=2.5,
        pace=common_pb2.PACE_AS_FAST_AS_POSSIBLE,
        loop=True,
        max_in_flight=4,
        max_events=500,
        settings=common_pb2.WatchSettings(
            mode=common_pb2.DECODING_MODE_BRANCH,
            gate=gate,
            max_caption_tokens=40,
            task_prompt="Watch the door.",
            memory=common_pb2.MemoryPolicy(
                kind=common_pb2.MEMORY_POLICY_KIND_PUBLISHED_PEAK_END,
                trigger_frames=80,
                max_trunk_tokens=2000,
            ),
            channels=[
                common_pb2.ChannelSpec(channel="standing-1", kind=standing, text="Who is there?"),
                common_pb2.ChannelSpec(
                    channel="open", kind=standing, text="Is it open?", gate=common_pb2.GateSettings(alpha=1.5)
                ),
                common_pb2.ChannelSpec(
                    channel="standing-3", kind=probe, text="A man.", gate=common_pb2.GateSettings()
                ),
            ],
        ),
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "source"),
        ({"source": ""}, "source"),
        ({"source": "x" * 2049}, "source"),
        ({"source": "x", "fps": 0}, "fps"),
        ({"source": "x", "fps": 31}, "fps"),
        ({"source": "x", "fps": float("nan")}, "fps"),
        ({"source": "x", "alpha": 0.9}, "alpha"),
        ({"source": "x", "alpha": float("inf")}, "alpha"),
        ({"source": "x", "pace": "slow"}, "pace"),
        ({"source": "x", "id": "../etc"}, "id"),
        ({"source": "x", "standing": [""]}, "standing"),
        ({"source": "x", "standing": ["x"] * 17}, "standing"),
        ({"source": "x", "retention": {"max_events": 3}}, "retention"),
        ({"source": "x", "sauce": "y"}, "sauce"),
    ],
)
def test_what_cannot_work_is_refused_by_name(body: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        NewStream.model_validate(body)
    assert {error["loc"][0] for error in refused.value.errors()} == {field}


def test_a_channel_without_a_name_is_left_to_the_decoder() -> None:
    spec = Channel(text="Is it open?").spec()
    assert (spec.channel, spec.kind, spec.text) == ("", common_pb2.CHANNEL_KIND_STANDING, "Is it open?")


@pytest.mark.parametrize(
    "source",
    ["clip.mp4", "/data/a b.mp4", "rtsp://u:p@camera:554/1", "HTTPS://host/live.m3u8", "udp://[::1]:9000"],
)
def test_paths_and_addresses_pass(source: str) -> None:
    check_source(source)


@pytest.mark.parametrize(
    "source",
    [
        "gopher://secret@h/",
        "file:///etc/secret",
        "rtsp://",
        "rtsp:///secret",
        "http://h:secret/",
        "rtsp://h:99999/secret",
        "http://[::secret/",
    ],
)
def test_what_is_no_address_is_refused_without_quoting_it(source: str) -> None:
    with pytest.raises(BadVideo, match="source") as refused:
        check_source(source)
    assert "secret" not in str(refused.value)
