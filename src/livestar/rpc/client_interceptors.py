"""Around every call that is made: its deadline, its trace, its metrics, and statuses as errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from grpc import aio

from livestar.obs import TRACEPARENT, current_traceparent
from livestar.rpc.metrics import RpcMetrics
from livestar.rpc.status import from_rpc_error

Continuation = Callable[[aio.ClientCallDetails, Any], Awaitable[Any]]


class UnaryCalls(aio.UnaryUnaryClientInterceptor):
    """See the module; for calls with one answer."""

    def __init__(self, address: str, metrics: RpcMetrics, timeout_s: float) -> None:
        self._address = address
        self._metrics = metrics
        self._timeout_s = timeout_s

    async def intercept_unary_unary(
        self, continuation: Continuation, client_call_details: aio.ClientCallDetails, request: Any
    ) -> Any:
        """Makes the call and waits for its answer."""
        details = _prepared(client_call_details, self._timeout_s)
        with self._metrics.watch(_text(details.method)) as ended:
            try:
                return await (await continuation(details, request))
            except aio.AioRpcError as error:
                ended[:] = [error.code().name]
                raise from_rpc_error(error, self._address) from None
            except asyncio.CancelledError:
                ended[:] = ["CANCELLED"]
                raise


class StreamCalls(aio.UnaryStreamClientInterceptor):
    """See the module; for calls whose answer streams."""

    def __init__(self, address: str, metrics: RpcMetrics, timeout_s: float) -> None:
        self._address = address
        self._metrics = metrics
        self._timeout_s = timeout_s

    async def intercept_unary_stream(
        self, continuation: Continuation, client_call_details: aio.ClientCallDetails, request: Any
    ) -> Any:
        """Makes the call; the answers come as they are read."""
        details = _prepared(client_call_details, self._timeout_s)
        return self._answers(await continuation(details, request), _text(details.method))

    async def _answers(self, call: Any, method: str) -> AsyncIterator[Any]:
        with self._metrics.watch(method) as ended:
            try:
                async for answer in call:
                    yield answer
            except aio.AioRpcError as error:
                ended[:] = [error.code().name]
                raise from_rpc_error(error, self._address) from None
            except (asyncio.CancelledError, GeneratorExit):
                ended[:] = ["CANCELLED"]
                raise
            finally:
                call.cancel()


def _prepared(details: aio.ClientCallDetails, timeout_s: float) -> aio.ClientCallDetails:
    metadata = details.metadata or aio.Metadata()
    if traceparent := current_traceparent():
        metadata = aio.Metadata(*metadata, (TRACEPARENT, traceparent))
    return aio.ClientCallDetails(
        details.method,
        timeout_s if details.timeout is None else details.timeout,
        metadata,
        details.credentials,
        details.wait_for_ready,
    )


def _text(method: str | bytes) -> str:
    return method.decode() if isinstance(method, bytes) else method
