"""The engine on its own thread, and how asyncio meets it.

Inward: commands, at most `MAX_COMMANDS` at a time; one more is refused with `CapacityExceeded`, and nobody waits for room. Frames
come as commands too, one command a stream at a time, and no more frames than the stream's inbox holds: none is ever dropped here.
Outward: what streams did, at most `MAX_UNTOLD` steps ahead of the event loop; then the engine waits. Nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from livestar.core.decision import Event
from livestar.core.errors import CapacityExceeded, FailedPrecondition, NotFound
from livestar.core.ids import StreamId
from livestar.engine import Engine, StreamChange
from livestar.memory import Ledger

log = logging.getLogger("livestar.decoder")

MAX_COMMANDS = 1024
MAX_UNTOLD = 64
ATTEMPTS = 3

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What one stream did in one step.

    Attributes:
        stream: the stream.
        events: in order.
        change: how its memory changed; None while a frame is being decided.
        coming: the ledger that the memory is asked about before the next frame; with a change only.
        at_ns: when, Unix time.
    """

    stream: StreamId
    events: tuple[Event, ...]
    change: StreamChange | None
    coming: Ledger | None
    at_ns: int


class EngineThread:
    """Runs an engine. Made, started and stopped by one event loop; nobody else touches the engine in between.

    Args:
        engine: belongs to the thread from `start` on.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._commands: queue.Queue[_Command[Any]] = queue.Queue(MAX_COMMANDS)
        self._room = threading.BoundedSemaphore(MAX_UNTOLD)
        self._stopping = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._failed: asyncio.Future[None] = self._loop.create_future()
        self._on_outcomes: Callable[[list[Outcome]], None] | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._num_retries = 0

    def start(self, on_outcomes: Callable[[list[Outcome]], None]) -> None:
        """Runs from now on; `on_outcomes` is told in the event loop, in order with the results of commands."""
        self._on_outcomes = on_outcomes
        self._thread.start()

    async def until_failed(self) -> None:
        """Waits for ever.

        Raises:
            Exception: a pass failed again and again: the thread has ended, and the process should.
        """
        await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """Ends the thread after the step that it is in; commands that wait are refused."""
        self._stopping.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)
        while not self._commands.empty():
            self._commands.get_nowait().refuse()

    @property
    def num_commands(self) -> int:
        """Commands that wait."""
        return self._commands.qsize()

    @property
    def pages(self) -> tuple[int, int]:
        """Free pages of the KV pool, and all of them."""
        return self._engine.pool.num_free_pages, self._engine.pool.num_pages

    def take_num_retries(self) -> int:
        """Passes that failed and were tried again, since the last look."""
        count = self._num_retries
        self._num_retries -= count
        return count

    async def call(
        self,
        do: Callable[[Engine], T],
        *,
        about: StreamId | None = None,
        then: Callable[[T], None] | None = None,
    ) -> T:
        """Runs `do` on the engine's thread, between two steps.

        Args:
            do: gets the engine.
            about: the stream that it may change: its change is told after the step that follows.
            then: called with the result in the event loop, before anything that the engine tells later.

        Raises:
            CapacityExceeded: too many commands wait.
            FailedPrecondition: the thread has ended.
            whatever `do` raises.
        """
        result: asyncio.Future[T] = self._loop.create_future()
        command = _Command(do, about, then, result)
        if self._stopping.is_set() or not self._thread.is_alive():
            command.refuse()
            return await result
        try:
            self._commands.put_nowait(command)
        except queue.Full:
            raise CapacityExceeded("the decoder has too much to do: try again in a moment") from None
        return await result

    def post(self, do: Callable[[Engine], object], *, about: StreamId | None = None) -> None:
        """Like `call`, for whom neither the result nor an error matters."""
        result: asyncio.Future[object] = self._loop.create_future()
        result.add_done_callback(lambda done: done.exception())
        with suppress(queue.Full):
            self._commands.put_nowait(_Command(do, about, None, result))

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                about = self._obey(wait=not self._engine.has_work)
                self._tell(self._step(), about)
        except Exception as error:  # the boundary of the thread: the process cannot go on without it
            self._stopping.set()
            self._loop.call_soon_threadsafe(self._failed.set_exception, error)

    def _obey(self, *, wait: bool) -> set[StreamId]:
        """Runs the commands that are there; returns the streams that they may have changed."""
        about: set[StreamId] = set()
        try:
            command = self._commands.get(block=wait, timeout=0.1)
            while True:
                command.run(self._engine, self._loop)
                if command.about:
                    about.add(command.about)
                command = self._commands.get_nowait()
        except queue.Empty:
            pass
        return about

    def _step(self) -> list[Event]:
        """One step. A pass that fails changes nothing, so it is tried again."""
        for attempt in range(1, ATTEMPTS):
            try:
                return self._engine.step()
            except Exception:
                log.exception("a pass failed", extra={"attempt": attempt})
                self._num_retries += 1
                time.sleep(0.05 * attempt)
        return self._engine.step()

    def _tell(self, events: list[Event], about: set[StreamId]) -> None:
        by_stream: dict[StreamId, list[Event]] = {}
        for event in events:
            by_stream.setdefault(event.stream, []).append(event)
        outcomes = [self._outcome(stream, by_stream.get(stream, [])) for stream in {*by_stream, *about}]
        outcomes = [outcome for outcome in outcomes if outcome.events or outcome.change]
        if not outcomes:
            return
        while not self._room.acquire(timeout=0.1):
            if self._stopping.is_set():
                return
        self._loop.call_soon_threadsafe(self._deliver, outcomes)

    def _outcome(self, stream: StreamId, events: list[Event]) -> Outcome:
        change = coming = None
        try:
            change = self._engine.take_change(stream)
            coming = self._engine.coming_ledger(stream) if change else None
        except NotFound:
            # Closed: these are its last words.
            pass
        return Outcome(stream, tuple(events), change, coming, time.time_ns())

    def _deliver(self, outcomes: list[Outcome]) -> None:
        self._room.release()
        assert self._on_outcomes is not None, "the thread was started"
        self._on_outcomes(outcomes)


@dataclass
class _Command(Generic[T]):
    do: Callable[[Engine], T]
    about: StreamId | None
    then: Callable[[T], None] | None
    result: asyncio.Future[T]

    def run(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        try:
            value = self.do(engine)
        except Exception as error:  # whoever gave the command handles it
            loop.call_soon_threadsafe(self._failed, error)
        else:
            loop.call_soon_threadsafe(self._done, value)

    def refuse(self) -> None:
        self._failed(
            FailedPrecondition("this decoder is stopping: find the stream's new owner and ask there")
        )

    def _done(self, value: T) -> None:
        if self.then:
            self.then(value)
        if not self.result.done():
            self.result.set_result(value)

    def _failed(self, error: Exception) -> None:
        if not self.result.done():
            self.result.set_exception(error)
