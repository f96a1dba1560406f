"""Errors as problem documents (RFC 9457), whoever raises them."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from livestar.core.errors import (
    DeadlineExceeded,
    InvalidInput,
    LiveStarError,
    NotFound,
    PermissionDenied,
    TooLarge,
    Unauthenticated,
)
from livestar.wire.errors import error_info

log = logging.getLogger("livestar.gateway")

RETRY_AFTER_S = 2
"""What a caller waits where trying again helps."""

_BY_STATUS: dict[int, type[LiveStarError]] = {
    401: Unauthenticated,
    403: PermissionDenied,
    404: NotFound,
    408: DeadlineExceeded,
    413: TooLarge,
}


class Problem(JSONResponse):
    """An error for a program and for people.

    Args:
        error: one that we raise on purpose says its sentence; any other keeps it to itself.
        status: other than the error's own.
        fields: what is wrong where, as (path, what).
    """

    media_type = "application/problem+json"

    def __init__(
        self, error: BaseException, *, status: int | None = None, fields: Sequence[tuple[str, str]] = ()
    ) -> None:
        code = status or (error.http_status if isinstance(error, LiveStarError) else 500)
        headers = {"Cache-Control": "no-store"}
        if isinstance(error, LiveStarError) and error.retryable:
            headers["Retry-After"] = str(RETRY_AFTER_S)
        if code == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        super().__init__(problem(error, code, fields), status_code=code, headers=headers)


def problem(
    error: BaseException, status: int | None = None, fields: Sequence[tuple[str, str]] = ()
) -> dict[str, object]:
    """The document itself, also for streams that have begun."""
    info = error_info(error)
    code = HTTPStatus(status or (error.http_status if isinstance(error, LiveStarError) else 500))
    document: dict[str, object] = {
        "type": "about:blank",
        "title": code.phrase,
        "status": code.value,
        "detail": info.message,
        "reason": info.reason,
        "retryable": info.retryable,
    }
    if fields:
        document["errors"] = [{"field": field, "message": message} for field, message in fields]
    return document


def problem_json(error: BaseException) -> str:
    """The document on one line."""
    return json.dumps(problem(error))


def install_problems(app: FastAPI) -> None:
    """Makes every error of the application a problem document."""

    @app.exception_handler(LiveStarError)
    async def _ours(_: Request, error: LiveStarError) -> Problem:
        return Problem(error)

    @app.exception_handler(HTTPException)
    async def _of_the_framework(_: Request, error: HTTPException) -> Problem:
        kind = _BY_STATUS.get(error.status_code, InvalidInput)
        answer = Problem(kind(_words(error)), status=error.status_code)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    async def _not_valid(_: Request, error: RequestValidationError) -> Problem:
        # Places and messages only: what was sent may hold a password.
        fields = [(_place(one["loc"]), _sentence(str(one["msg"]))) for one in error.errors()]
        if any(one["type"] == "json_invalid" for one in error.errors()):
            return Problem(InvalidInput("the body is not JSON: send one object"), status=400)
        where, what = fields[0]
        return Problem(InvalidInput(f"{where}: {what}"), fields=fields)

    @app.exception_handler(Exception)
    async def _unforeseen(_: Request, error: Exception) -> Problem:
        return Problem(error)


def _words(error: HTTPException) -> str:
    match error.status_code:
        case 404:
            return "there is nothing at this address: /docs says what there is"
        case 405:
            return "this address does not take this method: /docs says which"
    return str(error.detail)


def _place(loc: Sequence[int | str]) -> str:
    parts = loc[1:] if len(loc) > 1 and loc[0] in ("body", "query", "path", "header") else loc
    return ".".join(map(str, parts))


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ")[:1].lower() + message.removeprefix("Value error, ")[1:]
