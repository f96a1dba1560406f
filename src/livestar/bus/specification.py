"""Checks what a caller asks for, once, at the edge; everything behind it may rely on it."""

from __future__ import annotations

import math
import uuid

from livestar.api.v1 import common_pb2
from livestar.core.errors import InvalidInput
from livestar.core.ids import StreamId, channel_id, stream_id

MAX_SOURCE_CHARS = 2048
MAX_TEXT_CHARS = 4096
MAX_TITLE_CHARS = 200
MAX_CHANNELS = 16
MAX_FPS = 30.0


def checked(spec: common_pb2.StreamSpec) -> common_pb2.StreamSpec:
    """A copy with an id and every default filled in, but for those that belong to ingest (pace) and to the decoder (settings).

    Raises:
        InvalidInput: naming the field; the source is not quoted.
    """
    complete = common_pb2.StreamSpec()
    complete.CopyFrom(spec)
    complete.stream_id = stream_id(spec.stream_id) if spec.stream_id else new_stream_id()
    _text("source", spec.source, MAX_SOURCE_CHARS, required=True)
    _text("title", spec.title, MAX_TITLE_CHARS)
    complete.fps = spec.fps or 1.0
    _require("fps", 0 < complete.fps <= MAX_FPS, f"more than 0 and at most {MAX_FPS:g}")
    complete.max_in_flight = spec.max_in_flight or 8
    _require("max_in_flight", complete.max_in_flight <= 256, "at most 256")
    complete.max_events = spec.max_events or 10_000
    _require("max_events", 16 <= complete.max_events <= 1_000_000, "from 16 to 1000000")
    _require("pace", spec.pace in common_pb2.Pace.values(), "one of the paces")
    _check_settings(spec.settings)
    return complete


def new_stream_id() -> StreamId:
    """An id for a stream that was given none."""
    return StreamId(f"s-{uuid.uuid4().hex[:12]}")


def check_gate(gate: common_pb2.GateSettings, where: str = "gate") -> None:
    """Passes when the gate can work.

    Raises:
        InvalidInput: naming the field.
    """
    if gate.HasField("alpha"):
        _require(f"{where}.alpha", math.isfinite(gate.alpha) and gate.alpha >= 1, "at least 1")
    if gate.HasField("min_gap_s"):
        _require(f"{where}.min_gap_s", math.isfinite(gate.min_gap_s) and gate.min_gap_s >= 0, "at least 0")
    if gate.HasField("max_silence_s"):
        enough = math.isfinite(gate.max_silence_s) and gate.max_silence_s > max(0.0, gate.min_gap_s)
        _require(f"{where}.max_silence_s", enough, "more than min_gap_s")


def check_channel(channel: common_pb2.ChannelSpec, where: str = "channel") -> None:
    """Passes when the channel can be opened.

    Raises:
        InvalidInput: naming the field.
    """
    _require(f"{where}.channel", channel_id(channel.channel) != "narration", "another name than 'narration'")
    kinds = (
        common_pb2.CHANNEL_KIND_UNSPECIFIED,
        common_pb2.CHANNEL_KIND_STANDING,
        common_pb2.CHANNEL_KIND_PROBE,
    )
    _require(f"{where}.kind", channel.kind in kinds, "STANDING or PROBE")
    _text(f"{where}.text", channel.text, MAX_TEXT_CHARS, required=True)
    check_gate(channel.gate, f"{where}.gate")


def _check_settings(settings: common_pb2.WatchSettings) -> None:
    _require("settings.mode", settings.mode in common_pb2.DecodingMode.values(), "one of the modes")
    check_gate(settings.gate, "settings.gate")
    if settings.HasField("max_caption_tokens"):
        _require("settings.max_caption_tokens", 1 <= settings.max_caption_tokens <= 2048, "from 1 to 2048")
    _text("settings.task_prompt", settings.task_prompt, MAX_TEXT_CHARS)
    _check_memory(settings.memory)
    _require("settings.channels", len(settings.channels) <= MAX_CHANNELS, f"at most {MAX_CHANNELS} of them")
    names = [channel.channel for channel in settings.channels]
    _require("settings.channels", len(set(names)) == len(names), "named differently")
    for index, channel in enumerate(settings.channels):
        check_channel(channel, f"settings.channels[{index}]")


def _check_memory(memory: common_pb2.MemoryPolicy) -> None:
    where = "settings.memory"
    _require(f"{where}.kind", memory.kind in common_pb2.MemoryPolicyKind.values(), "one of the policies")
    if memory.HasField("max_trunk_tokens"):
        _require(f"{where}.max_trunk_tokens", memory.max_trunk_tokens >= 1, "at least 1")
    if memory.HasField("low_water"):
        _require(f"{where}.low_water", 0 < memory.low_water <= 1, "more than 0 and at most 1")
    if memory.HasField("protect_s"):
        fine = math.isfinite(memory.protect_s) and memory.protect_s >= 0
        _require(f"{where}.protect_s", fine, "at least 0")
    if memory.HasField("trigger_frames"):
        _require(f"{where}.trigger_frames", memory.trigger_frames >= 1, "at least 1")
    if memory.HasField("strength"):
        _require(f"{where}.strength", math.isfinite(memory.strength) and memory.strength >= 0, "at least 0")


def _require(field: str, fine: bool, wanted: str) -> None:  # noqa: FBT001
    if not fine:
        raise InvalidInput(f"{field} has to be {wanted}")


def _text(field: str, text: str, max_chars: int, *, required: bool = False) -> None:
    _require(field, bool(text.strip()) or not required, "given")
    _require(field, len(text) <= max_chars, f"at most {max_chars} characters")
    _require(field, not any(ord(c) < 32 and c not in "\t\n\r" for c in text), "without control characters")
