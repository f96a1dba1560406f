"""Every error that LiveStar raises on purpose, as one tree.

    LiveStarError
    ├── InvalidInput            the caller sent something that cannot work
    │   ├── BadVideo            a file or source that holds no readable video
    │   ├── BadImage            a frame that cannot be decoded or has a strange shape
    │   ├── BadAnnotation       an annotation, prediction or golden file that cannot be read
    │   └── TooLarge            a request or message beyond its limit
    ├── CheckpointError         a model folder that does not fit (missing, extra or mis-shaped tensors, tokenizer, config)
    ├── Unauthenticated         the caller does not say who it is, or not truly
    ├── PermissionDenied        the caller may not do this from where it is
    ├── NotFound                an unknown stream, channel or question
    ├── AlreadyExists           the name is taken by something else
    ├── CapacityExceeded        a bounded resource is full: try again later or elsewhere
    ├── FailedPrecondition      the request is well formed, but not in this state or mode
    │   └── NotOwner            another process owns the stream: find it and ask there
    ├── LeaseLost               a newer owner has taken the stream: stop at once
    ├── Unavailable             something that we need is away for now: Redis, a service
    └── DeadlineExceeded        no answer in time

`ValueError` stays for programming mistakes, `assert` for our own invariants. A message is one sentence that says what to do.
"""

from __future__ import annotations

from typing import ClassVar


class LiveStarError(Exception):
    """Root of the tree. `grpc_code` and `http_status` say how the edge reports it; `retryable` whether trying again helps."""

    grpc_code: ClassVar[str] = "INTERNAL"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False


class InvalidInput(LiveStarError):
    """The caller sent something that cannot work."""

    grpc_code = "INVALID_ARGUMENT"
    http_status = 422


class BadVideo(InvalidInput):
    """A file or source that holds no readable video."""


class BadImage(InvalidInput):
    """A frame that cannot be decoded or has a shape that no frame has."""


class BadAnnotation(InvalidInput):
    """An annotation, prediction or golden file that cannot be read."""


class TooLarge(InvalidInput):
    """A request or message beyond its limit."""

    http_status = 413


class CheckpointError(LiveStarError):
    """A model folder that does not fit: tensors, configuration or tokenizer."""

    grpc_code = "FAILED_PRECONDITION"
    http_status = 500


class Unauthenticated(LiveStarError):
    """The caller does not say who it is, or not truly."""

    grpc_code = "UNAUTHENTICATED"
    http_status = 401


class PermissionDenied(LiveStarError):
    """The caller may not do this from where it is: a page of another origin."""

    grpc_code = "PERMISSION_DENIED"
    http_status = 403


class NotFound(LiveStarError):
    """An unknown stream, channel or question."""

    grpc_code = "NOT_FOUND"
    http_status = 404


class AlreadyExists(LiveStarError):
    """The name is taken by something else."""

    grpc_code = "ALREADY_EXISTS"
    http_status = 409


class CapacityExceeded(LiveStarError):
    """A bounded resource is full."""

    grpc_code = "RESOURCE_EXHAUSTED"
    http_status = 429
    retryable = True


class FailedPrecondition(LiveStarError):
    """The request is well formed, but not in this state or mode."""

    grpc_code = "FAILED_PRECONDITION"
    http_status = 409


class NotOwner(FailedPrecondition):
    """Another process owns the stream: find it in the registry and ask there."""

    retryable = True


class LeaseLost(LiveStarError):
    """A newer owner has taken the stream: whoever sees this stops working on it at once."""

    grpc_code = "ABORTED"
    http_status = 409


class Unavailable(LiveStarError):
    """Something that we need is away for now: Redis, another service."""

    grpc_code = "UNAVAILABLE"
    http_status = 503
    retryable = True


class DeadlineExceeded(LiveStarError):
    """No answer in time."""

    grpc_code = "DEADLINE_EXCEEDED"
    http_status = 504
    retryable = True
