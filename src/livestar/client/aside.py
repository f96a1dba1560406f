"""Something that is waited for on a thread of its own, so that whoever wants it can look at other things, too."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Generic, Self, TypeVar

MAX_WAITING = 1024
"""Things that wait for us; then the other thread waits, too."""
LOOK_EVERY_S = 0.2

T = TypeVar("T")


class _End:
    """Nothing more comes; `error`: because of that."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error


class Aside(Generic[T]):
    """Iterating gives what `source()` gives, and None whenever nothing has come for a moment; it ends, and fails, as that does.

    A context manager: outside it the thread is let go, and ends at its next thing.
    """

    def __init__(self, source: Callable[[], Iterator[T]], name: str) -> None:
        self._waiting: queue.Queue[T | _End] = queue.Queue(MAX_WAITING)
        self._left = threading.Event()
        threading.Thread(target=self._run, args=(source,), name=name, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left.set()

    def __iter__(self) -> Iterator[T | None]:
        while True:
            try:
                thing = self._waiting.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                yield None
                continue
            if isinstance(thing, _End):
                if thing.error:
                    raise thing.error
                return
            yield thing

    def _run(self, source: Callable[[], Iterator[T]]) -> None:
        error: Exception | None = None
        try:
            for thing in source():
                self._put(thing)
                if self._left.is_set():
                    return
        except Exception as failure:  # told to whoever iterates
            error = failure
        self._put(_End(error))

    def _put(self, thing: T | _End) -> None:
        while not self._left.is_set():
            with suppress(queue.Full):
                self._waiting.put(thing, timeout=LOOK_EVERY_S)
                return
