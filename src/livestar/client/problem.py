"""Errors that a gateway tells (RFC 9457 problem documents), as the errors that they were."""

from __future__ import annotations

import json

from livestar.core import errors
from livestar.core.errors import (
    CapacityExceeded,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidInput,
    LiveStarError,
    NotFound,
    Unavailable,
)

_BY_STATUS = {
    400: InvalidInput,
    404: NotFound,
    409: FailedPrecondition,
    413: InvalidInput,
    415: InvalidInput,
    422: InvalidInput,
    429: CapacityExceeded,
    503: Unavailable,
    504: DeadlineExceeded,
}


def error_of(status: int, body: str) -> LiveStarError:
    """The error that an answer tells; of its own class where it names one, else of the class that its status means."""
    told = _object(body)
    kind = getattr(errors, str(told.get("reason") or ""), None)
    if not (isinstance(kind, type) and issubclass(kind, LiveStarError)):
        kind = _BY_STATUS.get(status, LiveStarError)
    words = told.get("detail") or told.get("message") or told.get("title")
    return kind(str(words) if words else f"the gateway answered with HTTP status {status}: see its log")


def _object(body: str) -> dict[str, object]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
