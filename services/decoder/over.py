"""Why and how a stream is given up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from livestar.api.v1 import common_pb2, errors_pb2, events_pb2
from livestar.wire.errors import error_info


class Why(StrEnum):
    """Why a stream is given up."""

    ENDED = "ended"
    """Its source came to an end, or a caller stopped it."""
    FAILED = "failed"
    """An error ended it."""
    RELEASED = "released"
    """Another process takes it."""
    DELETED = "deleted"
    """Nobody wants it any more."""
    LOST = "lost"
    """Another process has taken it."""


@dataclass(frozen=True)
class Over:
    """How a stream is given up.

    Attributes:
        why: the reason.
        state: what the registry will say; unspecified: the stream goes on elsewhere, or is gone.
        sequence: of the end of the stream; 0: none came.
        error: what went wrong.
    """

    why: Why
    state: common_pb2.StreamState.ValueType = common_pb2.STREAM_STATE_UNSPECIFIED
    sequence: int = 0
    error: errors_pb2.ErrorInfo | None = None

    @classmethod
    def by_source(cls, sequence: int, end: events_pb2.EndOfStream) -> Over:
        """The last message of the stream says so."""
        error = end.error if end.HasField("error") else None
        if end.reason == events_pb2.END_REASON_FAILED:
            return cls(Why.FAILED, common_pb2.STREAM_STATE_FAILED, sequence, error)
        if end.reason == events_pb2.END_REASON_STOPPED:
            return cls(Why.ENDED, common_pb2.STREAM_STATE_STOPPED, sequence, error)
        return cls(Why.ENDED, common_pb2.STREAM_STATE_ENDED, sequence, error)

    @classmethod
    def by_error(cls, error: BaseException) -> Over:
        """The stream itself cannot be watched."""
        return cls(Why.FAILED, common_pb2.STREAM_STATE_FAILED, error=error_info(error))

    @property
    def reason(self) -> str:
        """One sentence for the registry; empty where there is nothing to say."""
        return self.error.message if self.error else ""
