"""Around every call that is served: its trace, its metrics, and errors as statuses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from grpc import aio

from livestar.core.errors import LiveStarError
from livestar.obs import TRACEPARENT, span
from livestar.rpc.metrics import RpcMetrics
from livestar.rpc.status import status_of

log = logging.getLogger("livestar.rpc")


class ServerInterceptor(aio.ServerInterceptor):
    """See the module. The errors that we raise on purpose are told to the caller; all others are logged, and only there."""

    def __init__(self, metrics: RpcMetrics) -> None:
        self._metrics = metrics

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wraps the handler of one call. Answers that stream are async generators."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith("/grpc."):
            return handler
        traceparent = dict(handler_call_details.invocation_metadata or ()).get(TRACEPARENT)
        around = _Around(self._metrics, method, traceparent if isinstance(traceparent, str) else None)
        codecs = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(around.unary(handler.unary_unary), **codecs)
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(around.unary(handler.stream_unary), **codecs)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(around.stream(handler.unary_stream), **codecs)
        return grpc.stream_stream_rpc_method_handler(around.stream(handler.stream_stream), **codecs)


class _Around:
    def __init__(self, metrics: RpcMetrics, method: str, traceparent: str | None) -> None:
        self._metrics = metrics
        self._method = method
        self._traceparent = traceparent

    def unary(self, serve: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
        async def wrapped(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
            with self._observed() as ended:
                try:
                    return await serve(request, context)
                except Exception as error:
                    return await _abort(context, self._note(error, ended))

        return wrapped

    def stream(
        self, serve: Callable[[Any, Any], AsyncIterator[Any]]
    ) -> Callable[[Any, Any], AsyncIterator[Any]]:
        async def wrapped(request: Any, context: aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            with self._observed() as ended:
                try:
                    async for response in serve(request, context):
                        yield response
                except Exception as error:
                    await _abort(context, self._note(error, ended))

        return wrapped

    @contextmanager
    def _observed(self) -> Iterator[list[str]]:
        with span(self._method, self._traceparent), self._metrics.watch(self._method) as ended:
            try:
                yield ended
            except (asyncio.CancelledError, GeneratorExit):
                ended[:] = ["CANCELLED"]
                raise

    def _note(self, error: Exception, ended: list[str]) -> Exception:
        if isinstance(error, aio.AbortError):
            raise error
        if not isinstance(error, LiveStarError):
            log.exception("call failed", extra={"method": self._method})
        ended[:] = [status_of(error)[0].name]
        return error


async def _abort(context: aio.ServicerContext[Any, Any], error: Exception) -> NoReturn:
    code, message, metadata = status_of(error)
    await context.abort(code, message, metadata)
