"""Every error that LiveStar raises on purpose, as one tree.

    LiveStarError
    ├── InvalidInput            the caller sent something that cannot work
    │   ├── BadVideo            a file or source that holds no readable video
    │   ├── BadImage            a frame that cannot be decoded or has a strange shape
    │   └── BadAnnotation       an annotation, prediction or golden file that cannot be read
    ├── CheckpointError         a model folder that does not fit (missing, extra or mis-shaped tensors, tokenizer, config)
    ├── NotFound                an unknown stream, channel or question
    ├── CapacityExceeded        a bounded resource is full: try again later or elsewhere
    └── FailedPrecondition      the request is well formed, but not in this state or mode

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


class CheckpointError(LiveStarError):
    """A model folder that does not fit: tensors, configuration or tokenizer."""

    grpc_code = "FAILED_PRECONDITION"
    http_status = 500


class NotFound(LiveStarError):
    """An unknown stream, channel or question."""

    grpc_code = "NOT_FOUND"
    http_status = 404


class CapacityExceeded(LiveStarError):
    """A bounded resource is full."""

    grpc_code = "RESOURCE_EXHAUSTED"
    http_status = 429
    retryable = True


class FailedPrecondition(LiveStarError):
    """The request is well formed, but not in this state or mode."""

    grpc_code = "FAILED_PRECONDITION"
    http_status = 409
