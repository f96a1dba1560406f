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


def unowned(stream: StreamId) -> str:
    """Text that expires: since when nobody has owned a stream that should run, Unix time in ms."""
    return f"{_prefix}unowned:{{{stream}}}"


def jobs() -> str:
    """Sorted set: every job by creation time, microseconds."""
    return f"{_prefix}jobs"


def active_jobs() -> str:
    """Set: the jobs that have not come to a final state."""
    return f"{_prefix}jobs:active"


def job(job: str) -> str:
    """Hash: one job; its fields are in `job_book.py`."""
    return f"{_prefix}job:{{{job}}}"


def job_outcomes(worker: str) -> str:
    """Hash: how many jobs a worker has brought to each end."""
    return f"{_prefix}jobs:outcomes:{worker}"


def leaving_worker(worker: str) -> str:
    """Text that expires: this worker finishes; its jobs go back into the queue."""
    return f"{_prefix}jobs:leaving:{worker}"


def jobs_sweep() -> str:
    """Text that expires: somebody has swept a moment ago."""
    return f"{_prefix}jobs:swept"


def job_queue_prefix() -> str:
    """What the task queue's own keys begin with."""
    return f"{_prefix}celery:"
