"""The registry: which streams there are, what was asked for, and what they are doing.

The source of a stream may hold a password: it is kept beside the specification, and only `source` gives it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from livestar.api.v1 import common_pb2
from livestar.core.errors import AlreadyExists, FailedPrecondition, InvalidInput, LeaseLost, NotFound
from livestar.core.ids import StreamId

SHOWN = (
    "spec",
    "state",
    "reason",
    "created_at_ns",
    "updated_at_ns",
    "captured_sequence",
    "captured_pts_ns",
    "decided_sequence",
    "decided_pts_ns",
    "event_sequence",
)
"""Fields of the hash `keys.stream(…)` that make a `StreamInfo`."""

FIELDS = (*SHOWN, "source", "ingest_epoch", "decoder_epoch")
"""All of them. `decided_*`, `event_sequence` and `decoder_epoch` are written by the memory's own commit script."""

State: TypeAlias = common_pb2.StreamState.ValueType

FINAL: frozenset[State] = frozenset(
    {common_pb2.STREAM_STATE_STOPPED, common_pb2.STREAM_STATE_ENDED, common_pb2.STREAM_STATE_FAILED}
)
"""States that a stream never leaves."""

_PENDING, _STARTING = common_pb2.STREAM_STATE_PENDING, common_pb2.STREAM_STATE_STARTING
_RUNNING, _STOPPING = common_pb2.STREAM_STATE_RUNNING, common_pb2.STREAM_STATE_STOPPING
_STOPPED, _ENDED = common_pb2.STREAM_STATE_STOPPED, common_pb2.STREAM_STATE_ENDED
_FAILED = common_pb2.STREAM_STATE_FAILED

MOVES: dict[State, frozenset[State]] = {
    _PENDING: frozenset({_STARTING, _STOPPED, _FAILED}),
    _STARTING: frozenset({_RUNNING, _STOPPING, _ENDED, _FAILED}),
    # Back to STARTING when another ingest takes over.
    _RUNNING: frozenset({_STARTING, _STOPPING, _ENDED, _FAILED}),
    _STOPPING: frozenset({_STOPPED, _FAILED}),
}
"""Where a stream may go from each state; staying is always fine."""

STOP: dict[State, State] = {_PENDING: _STOPPED, _STARTING: _STOPPING, _RUNNING: _STOPPING}
"""What stopping means in each state; in the others it changes nothing."""


@dataclass(frozen=True)
class Page:
    """Some streams of a listing.

    Attributes:
        streams: newest first.
        next_token: where to go on; empty: there are no more.
    """

    streams: Sequence[common_pb2.StreamInfo]
    next_token: str


class Registry(Protocol):
    """See the module. The source in a `StreamInfo` is without credentials.

    Every method raises `Unavailable` when Redis stays away.
    """

    async def create(self, spec: common_pb2.StreamSpec) -> common_pb2.StreamInfo:
        """Registers a stream as PENDING; `spec` is as `checked` returns it. The same specification again changes nothing.

        Raises:
            AlreadyExists: the id is taken by another specification.
        """
        ...

    async def get(self, stream: StreamId) -> common_pb2.StreamInfo:
        """One stream.

        Raises:
            NotFound: there is none of this id.
        """
        ...

    async def source(self, stream: StreamId) -> str:
        """The source with its credentials; never log it.

        Raises:
            NotFound: there is none of this id.
        """
        ...

    async def page(self, *, limit: int, token: str = "") -> Page:
        """Up to `limit` streams, newest first, from the beginning or behind an earlier page.

        Raises:
            InvalidInput: the stream where the last page ended is gone.
        """
        ...

    async def unfinished(self) -> list[common_pb2.StreamInfo]:
        """Every stream that has not come to a final state, by id: what owners look through."""
        ...

    async def move(self, stream: StreamId, to: State, *, reason: str = "") -> common_pb2.StreamInfo:
        """Changes the state of a stream, as `MOVES` allows.

        Raises:
            NotFound: there is none of this id.
            FailedPrecondition: it cannot go there from where it is.
        """
        ...

    async def stop(self, stream: StreamId, *, reason: str = "") -> common_pb2.StreamInfo:
        """Asks for the end of a stream, as `STOP` says; idempotent.

        Raises:
            NotFound: there is none of this id.
        """
        ...

    async def delete(self, stream: StreamId) -> bool:
        """Removes a stream from the registry, whatever it is doing; False: it was not there."""
        ...

    async def note_captured(self, stream: StreamId, *, epoch: int, sequence: int, pts_ns: int) -> None:
        """How far ingest has come; an earlier sequence of the same epoch changes nothing.

        Raises:
            NotFound: there is none of this id.
            LeaseLost: a newer epoch has written.
        """
        ...

    async def note_decided(
        self, stream: StreamId, *, epoch: int, sequence: int, pts_ns: int, event_sequence: int
    ) -> None:
        """How far the decoder has come, like `note_captured`."""
        ...


def taken(stream: StreamId) -> AlreadyExists:
    """The id has another specification."""
    return AlreadyExists(
        f"there is a stream '{stream}' with another specification: choose another id or delete it first"
    )


def not_found(stream: StreamId) -> NotFound:
    """Nobody has registered it."""
    return NotFound(f"there is no stream '{stream}': create it first")


def cannot_move(stream: StreamId, state: State, to: State) -> FailedPrecondition:
    """The state machine says no."""
    return FailedPrecondition(f"stream '{stream}' is {name_of(state)} and cannot become {name_of(to)}")


def outdated(stream: StreamId, epoch: int) -> LeaseLost:
    """Somebody newer writes now."""
    return LeaseLost(f"epoch {epoch} of stream '{stream}' is over, another owner has it: stop working on it")


def bad_token() -> InvalidInput:
    """The listing cannot go on from there."""
    return InvalidInput("the page token is no longer valid: list from the beginning")


def name_of(state: State) -> str:
    """`running` for STREAM_STATE_RUNNING."""
    return common_pb2.StreamState.Name(state).removeprefix("STREAM_STATE_").lower()
