"""How a stream is watched: what a caller asked for over a decoder's own values, as the engine takes it."""

from __future__ import annotations

from dataclasses import replace

from livestar.api.v1 import common_pb2
from livestar.api.v1.common_pb2 import WatchSettings
from livestar.core.errors import InvalidInput
from livestar.engine import GateSettings, Mode, StreamSettings
from livestar.wire.policy import complete_policy, policy_of

_MODES = {common_pb2.DECODING_MODE_BRANCH: Mode.BRANCH, common_pb2.DECODING_MODE_REFERENCE: Mode.REFERENCE}


def complete_settings(asked: WatchSettings, defaults: StreamSettings) -> WatchSettings:
    """A copy with every field set, so that another decoder watches in the same way."""
    whole = WatchSettings()
    whole.CopyFrom(asked)
    whole.mode = asked.mode or _number_of(defaults.mode)
    whole.gate.CopyFrom(complete_gate(asked.gate, defaults.gate))
    if not whole.HasField("max_caption_tokens"):
        whole.max_caption_tokens = defaults.max_caption_tokens
    if not whole.HasField("task_prompt") and defaults.task_prompt is not None:
        whole.task_prompt = defaults.task_prompt
    whole.memory.CopyFrom(complete_policy(asked.memory, max_trunk_tokens=defaults.max_trunk_tokens))
    return whole


def stream_settings(whole: WatchSettings, defaults: StreamSettings) -> StreamSettings:
    """The engine's settings of complete `WatchSettings`; what they do not name is as in `defaults`.

    Raises:
        InvalidInput: a value cannot work.
    """
    if whole.mode not in _MODES:
        raise InvalidInput(f"settings.mode {whole.mode} is not a mode: choose one")
    try:
        return replace(
            defaults,
            mode=_MODES[whole.mode],
            gate=gate_of(whole.gate),
            max_caption_tokens=whole.max_caption_tokens,
            task_prompt=whole.task_prompt if whole.HasField("task_prompt") else None,
            max_trunk_tokens=whole.memory.max_trunk_tokens,
            memory=policy_of(whole.memory),
        )
    except ValueError as error:
        raise InvalidInput(f"settings cannot work: {error}") from error


def complete_gate(asked: common_pb2.GateSettings, defaults: GateSettings) -> common_pb2.GateSettings:
    """A copy with every field set; no `max_silence_s` means never."""
    whole = gate_proto(defaults)
    whole.MergeFrom(asked)
    return whole


def gate_proto(gate: GateSettings) -> common_pb2.GateSettings:
    """A gate for the wire."""
    return common_pb2.GateSettings(
        alpha=gate.alpha,
        min_gap_s=gate.min_gap_s,
        hysteresis=gate.hysteresis,
        max_silence_s=gate.max_silence_s,
    )


def gate_of(whole: common_pb2.GateSettings) -> GateSettings:
    """The gate of complete settings.

    Raises:
        InvalidInput: a value cannot work.
    """
    try:
        return GateSettings(
            alpha=whole.alpha,
            min_gap_s=whole.min_gap_s,
            hysteresis=whole.hysteresis,
            max_silence_s=whole.max_silence_s if whole.HasField("max_silence_s") else None,
        )
    except ValueError as error:
        raise InvalidInput(f"gate cannot work: {error}") from error


def _number_of(mode: Mode) -> common_pb2.DecodingMode.ValueType:
    return next(number for number, known in _MODES.items() if known is mode)
