"""Metrics of calls: how many, how long, how they ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from livestar.obs import FAST_S, Metrics


class RpcMetrics:
    """`livestar_<service>_rpc_<side>_seconds` by method and code, and how many are under way.

    Args:
        metrics: of the process.
        side: "served" or "called".
    """

    def __init__(self, metrics: Metrics, side: str) -> None:
        self._seconds = metrics.histogram(
            f"rpc_{side}",
            "seconds",
            f"Calls {side}, by method and status.",
            buckets=FAST_S,
            labels=("method", "code"),
        )
        self._under_way = metrics.gauge(
            f"rpc_{side}_under_way", "entries", f"Calls being {side}.", labels=("method",)
        )

    @contextmanager
    def watch(self, method: str) -> Iterator[list[str]]:
        """Measures one call; put its status code into the list where it is not OK."""
        ended: list[str] = []
        started_s = time.perf_counter()
        name = method.rpartition(".")[2]
        self._under_way.labels(name).inc()
        try:
            yield ended
        finally:
            self._under_way.labels(name).dec()
            code = ended[0] if ended else "OK"
            self._seconds.labels(name, code).observe(time.perf_counter() - started_s)
