"""Every key of Redis, in one place. What all processes must agree on is here, and no setting.

The braces are part of the key: they are Redis' hash tag, so that everything of one stream lies together and one script may write
it. The registry's index and the epoch counter are outside: a Redis Cluster is not supported.

Several systems may share one Redis: `use_prefix` puts a name before every key of this process.
"""

from __future__ import annotations

import zlib

from livestar.core.ids import StreamId

FRAME_SHARDS = 8
"""Streams of Redis over which frames are spread; more than one, so that a busy stream does not hold up all others."""

VISION_GROUP = "vision"
"""The consumer group that reads frames."""

_prefix = ""


def use_prefix(name: str) -> None:
    """Every key that is named from now on begins with `name` and a colon; empty: with nothing. Called once, at the start."""
    global _prefix
    _prefix = f"{name}:" if name else ""


def streams() -> str:
    """Sorted set: every stream by creation time, microseconds."""
    return f"{_prefix}streams"


def unfinished() -> str:
    """Set: the streams that have not come to a final state."""
    return f"{_prefix}streams:unfinished"


def epochs() -> str:
    """Counter: the last epoch of any lease."""
    return f"{_prefix}epochs"


def processes(service: str) -> str:
    """Hash: the living processes of a service; see `directory.py`."""
    return f"{_prefix}processes:{{{service}}}"


def shard_of(stream: StreamId, num_shards: int = FRAME_SHARDS) -> int:
    """The shard of a stream's frames, 0 to num_shards - 1: the same in every process and release."""
    return zlib.crc32(stream.encode()) % num_shards


def frames(shard: int) -> str:
    """Stream of `FrameCaptured`."""
    return f"{_prefix}frames:{{{shard}}}"


def all_frames() -> list[str]:
    """The keys of every shard."""
    return [frames(shard) for shard in range(FRAME_SHARDS)]


def tokens(stream: StreamId) -> str:
    """Stream of `VisualTokensReady`."""
    return f"{_prefix}tokens:{{{stream}}}"


def events(stream: StreamId) -> str:
    """Stream of `StreamEvent`, with entry ids `<sequence>-0`."""
    return f"{_prefix}events:{{{stream}}}"


def dead(name: str) -> str:
    """Stream of what nobody could handle; `name` says who gave up."""
    return f"{_prefix}dead:{{{name}}}"


def stream(stream: StreamId) -> str:
    """Hash: one stream in the registry; its fields are in `registry.FIELDS`."""
    return f"{_prefix}stream:{{{stream}}}"


def lease(role: str, stream: StreamId) -> str:
    """Hash that expires: who owns a stream in a role."""
    return f"{_prefix}lease:{role}:{{{stream}}}"


def ledger(stream: StreamId) -> str:
    """Hash: the memory's ledger of a stream."""
    return f"{_prefix}ledger:{{{stream}}}"


def kept(stream: StreamId) -> str:
    """Hash: visual tokens of the frames in a stream's trunk."""
    return f"{_prefix}kept:{{{stream}}}"
