"""How a stream is watched: `WatchSettings` as the engine's `StreamSettings`."""

from __future__ import annotations

from dataclasses import replace

from livestar.api.v1 import common_pb2
from livestar.core.errors import InvalidInput
from livestar.engine import GateSettings, Mode, StreamSettings
from livestar.wire.memory import forget_policy


def stream_settings(watch: common_pb2.WatchSettings, defaults: StreamSettings) -> StreamSettings:
    """`defaults` (the checkpoint's recommendation), with everything that is set.

    Raises:
        InvalidInput: a value cannot work.
    """
    changes: dict[str, object] = {"gate": gate_settings(watch.gate, defaults.gate)}
    if watch.mode:
        changes["mode"] = Mode.REFERENCE if watch.mode == common_pb2.DECODING_MODE_REFERENCE else Mode.BRANCH
    if watch.HasField("max_caption_tokens"):
        changes["max_caption_tokens"] = watch.max_caption_tokens
    if watch.HasField("task_prompt"):
        changes["task_prompt"] = watch.task_prompt
    if watch.HasField("memory"):
        policy = common_pb2.MemoryPolicy()
        policy.CopyFrom(watch.memory)
        if not policy.HasField("max_trunk_tokens"):
            policy.max_trunk_tokens = defaults.max_trunk_tokens
        changes |= {"memory": forget_policy(policy), "max_trunk_tokens": policy.max_trunk_tokens}
    try:
        return replace(defaults, **changes)  # type: ignore[arg-type]
    except ValueError as error:
        raise InvalidInput(str(error)) from error


def gate_settings(gate: common_pb2.GateSettings, defaults: GateSettings) -> GateSettings:
    """`defaults`, with everything that is set.

    Raises:
        InvalidInput: a value cannot work.
    """
    try:
        return replace(defaults, **{field.name: value for field, value in gate.ListFields()})
    except ValueError as error:
        raise InvalidInput(str(error)) from error


def watch_settings(settings: StreamSettings, asked: common_pb2.WatchSettings) -> common_pb2.WatchSettings:
    """What was asked for, with every field set to what is used: what memory keeps, and plans by."""
    used = common_pb2.WatchSettings()
    used.CopyFrom(asked)
    branch = settings.mode is Mode.BRANCH
    used.mode = common_pb2.DECODING_MODE_BRANCH if branch else common_pb2.DECODING_MODE_REFERENCE
    used.gate.alpha = settings.gate.alpha
    used.gate.min_gap_s = settings.gate.min_gap_s
    used.gate.hysteresis = settings.gate.hysteresis
    if settings.gate.max_silence_s is not None:
        used.gate.max_silence_s = settings.gate.max_silence_s
    used.max_caption_tokens = settings.max_caption_tokens
    used.memory.max_trunk_tokens = settings.max_trunk_tokens
    if not used.memory.kind:
        used.memory.kind = common_pb2.MEMORY_POLICY_KIND_TOKEN_BUDGET
    return used
