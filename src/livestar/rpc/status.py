"""Errors as gRPC statuses, and back: the class survives the wire, so that a caller can act on it."""

from __future__ import annotations

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from livestar.api.v1 import errors_pb2
from livestar.core.errors import (
    AlreadyExists,
    CapacityExceeded,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidInput,
    LiveStarError,
    NotFound,
    Unavailable,
)
from livestar.wire.errors import CLASSES, error_info, from_error_info

DETAILS_KEY = "grpc-status-details-bin"
"""Trailing metadata that holds google.rpc.Status, as every gRPC implementation names it."""


def status_of(error: BaseException) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """Code, message and trailing metadata that tell a caller about an error."""
    info = error_info(error)
    code = grpc.StatusCode[CLASSES.get(info.reason, LiveStarError).grpc_code]
    detail = AnyMessage()
    detail.Pack(info)
    number: int = code.value[0]
    status = status_pb2.Status(code=number, message=info.message, details=[detail])
    return code, info.message, ((DETAILS_KEY, status.SerializeToString()),)


def from_rpc_error(error: grpc.aio.AioRpcError, address: str) -> LiveStarError:
    """What a failed call means for its caller."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and (info := _detail(value)):
            return from_error_info(info)
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(f"{address} did not answer in time: try again")
    if code is grpc.StatusCode.UNAVAILABLE:
        return Unavailable(f"{address} does not answer: check that it runs")
    kind = next((kind for kind in _GENERAL if kind.grpc_code == code.name), LiveStarError)
    return kind(f"{address} refused the call ({code.name}): {details}")


def _detail(value: str | bytes) -> errors_pb2.ErrorInfo | None:
    info = errors_pb2.ErrorInfo()
    try:
        status = status_pb2.Status.FromString(value if isinstance(value, bytes) else value.encode())
        return info if any(detail.Unpack(info) for detail in status.details) else None
    except DecodeError:
        return None


_GENERAL = (InvalidInput, NotFound, AlreadyExists, CapacityExceeded, FailedPrecondition)
"""What the codes of others mean."""
