"""Errors for the wire, and back: the class survives, so that a caller can act on it."""

from __future__ import annotations

from livestar.api.v1 import errors_pb2
from livestar.core import errors
from livestar.core.errors import LiveStarError

INTERNAL = "something went wrong here: see the service's log"
"""All that a caller learns of an error that we did not foresee."""

CLASSES: dict[str, type[LiveStarError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, LiveStarError)
}
"""Every class of the tree, by name."""


def error_info(error: BaseException) -> errors_pb2.ErrorInfo:
    """An error for the wire. One that we did not raise on purpose keeps its details to itself."""
    if not isinstance(error, LiveStarError):
        return errors_pb2.ErrorInfo(reason="LiveStarError", message=INTERNAL)
    return errors_pb2.ErrorInfo(reason=type(error).__name__, message=str(error), retryable=error.retryable)


def from_error_info(info: errors_pb2.ErrorInfo) -> LiveStarError:
    """The error again, of its own class where we know it."""
    return CLASSES.get(info.reason, LiveStarError)(info.message)
