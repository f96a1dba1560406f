"""Stands before every route: who may call, how much may be sent, what every answer carries."""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from livestar.core.errors import (
    DeadlineExceeded,
    InvalidInput,
    LiveStarError,
    PermissionDenied,
    TooLarge,
    Unauthenticated,
)
from livestar.obs import TRACEPARENT, span
from services.gateway.http.problems import Problem
from services.gateway.metrics import GatewayMetrics
from services.gateway.settings import GatewaySettings

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # Text of captions and users never becomes markup, whatever a script does.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

BEARER = "bearer."
"""Prefix of the WebSocket subprotocol that carries the token: browsers cannot set headers there."""

_LOCAL = re.compile(r"[^.]+|[\d.]+|\[[0-9a-fA-F:.]+\]|.+\.(local|internal|svc|localhost|cluster\.local)")


class Guard:
    """ASGI middleware; see the module.

    Args:
        app: what it stands before.
        settings: how the gateway runs.
        metrics: of the gateway.
    """

    def __init__(self, app: ASGIApp, settings: GatewaySettings, metrics: GatewayMetrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._token = settings.token.get_secret_value().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        started_s = time.perf_counter()
        headers = Headers(scope=scope)

        async def secured(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                self._secure(MutableHeaders(scope=message), headers.get("origin", ""))
                self._note(scope, message["status"], started_s)
            await send(message)

        with span(f"{scope.get('method', 'GET')} {scope['path']}", headers.get(TRACEPARENT)):
            try:
                self._admit(scope, headers)
                if scope["type"] == "http":
                    receive = await self._whole_body(scope, headers, receive)
            except _NotJson as error:
                refused = Problem(InvalidInput(str(error)), status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
                await refused(scope, receive, secured)
                return
            except LiveStarError as error:
                status = HTTPStatus.REQUEST_TIMEOUT if isinstance(error, DeadlineExceeded) else None
                await Problem(error, status=status)(scope, receive, secured)
                return
            await self._app(scope, receive, secured)

    def _admit(self, scope: Scope, headers: Headers) -> None:
        """Passes callers who may call.

        Raises:
            PermissionDenied: a page of another origin, or a name that is not ours.
            Unauthenticated: the token is missing or wrong.
        """
        if not self._token and not self._is_ours(headers.get("host", "")):
            raise PermissionDenied(
                "this gateway does not answer to this name: add it to LIVESTAR_GATEWAY_ALLOWED_HOSTS, or set a token"
            )
        origin = headers.get("origin", "")
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD", "OPTIONS")
        if origin and changes and not self._is_allowed(origin, headers.get("host", "")):
            raise PermissionDenied(
                "pages of another origin may not call: add theirs to LIVESTAR_GATEWAY_ALLOWED_ORIGINS"
            )
        if scope["path"].startswith("/v1") and scope.get("method") != "OPTIONS":
            self._authenticate(headers)

    def _authenticate(self, headers: Headers) -> None:
        if not self._token:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            offered = (one.strip() for one in headers.get("sec-websocket-protocol", "").split(","))
            given = next((one.removeprefix(BEARER) for one in offered if one.startswith(BEARER)), "")
        if not hmac.compare_digest(given.strip().encode(), self._token):
            raise Unauthenticated("give this gateway's token: Authorization: Bearer …")

    def _is_ours(self, host: str) -> bool:
        name = re.sub(r":\d+$", "", host).lower()
        allowed = self._settings.allowed_hosts
        return name in allowed or "*" in allowed or (not allowed and bool(_LOCAL.fullmatch(name)))

    def _is_allowed(self, origin: str, host: str) -> bool:
        return origin.partition("://")[2] == host or origin in self._settings.allowed_origins

    async def _whole_body(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """Reads the body before anybody works on it, within its limits, and hands it on in one piece.

        Raises:
            TooLarge: it is longer than it may be.
            DeadlineExceeded: it does not come in time.
            _NotJson: it is something else by its own word.
        """
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return receive
        limit = self._settings.max_body_bytes
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > limit:
            raise _too_large(limit)
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.body_s):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return _replay(message, receive)
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > limit:
                        raise _too_large(limit)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the body did not arrive within {self._settings.body_s:g} s: send it at once"
            ) from None
        if body and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise _NotJson("the body has to be JSON: send Content-Type: application/json")
        return _replay({"type": "http.request", "body": bytes(body), "more_body": False}, receive)

    def _secure(self, headers: MutableHeaders, origin: str) -> None:
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if origin and origin in self._settings.allowed_origins:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            headers.add_vary_header("Origin")

    def _note(self, scope: Scope, status: int, started_s: float) -> None:
        # The route's pattern: an address holds names of streams.
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.requests.labels(route, scope.get("method", "WS"), str(status)).observe(
            time.perf_counter() - started_s
        )


class Preflight:
    """Answers a browser that asks whether a page of another origin may call. ASGI middleware.

    Args:
        app: what it stands before.
        settings: how the gateway runs.
    """

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self._app = app
        self._origins = settings.allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        if scope.get("method") != "OPTIONS" or "access-control-request-method" not in headers:
            await self._app(scope, receive, send)
            return
        if headers.get("origin") not in self._origins:
            await Problem(PermissionDenied("pages of this origin may not call"))(scope, receive, send)
            return
        allowed = {
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID",
            "Access-Control-Max-Age": "600",
        }
        await Response(status_code=HTTPStatus.NO_CONTENT, headers=allowed)(scope, receive, send)


class _NotJson(Exception):
    """The body is something else by its own word."""


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is too long: send at most {limit} bytes")


def _replay(message: Message, receive: Receive) -> Receive:
    """First the message, then whatever else comes."""
    first: list[Message] = [message]

    async def next_message() -> Message:
        return first.pop() if first else await receive()

    return next_message
