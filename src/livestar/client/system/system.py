"""Starts the system, watches over it, and stops it in order. Nothing is started again: a service that dies ends the system."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from livestar.bus import EmbeddedRedis, RedisLink
from livestar.client.running_system import RunningSystem
from livestar.client.system.child import Child
from livestar.client.system.plan import (
    DRAIN_S,
    HOST,
    STOP_ORDER,
    ServicePlan,
    SystemSettings,
    environment_of,
    services_of,
)
from livestar.client.system.run_folder import RunFolder
from livestar.core.errors import Unavailable

LOOK_EVERY_S = 0.05
STOP_S = DRAIN_S + 5.0
"""What a group gets to stop before it is ended."""

SHOWN_LINES = 8


class ServiceEnded(Unavailable):
    """A service ended by itself, or did not become ready. `last_lines`: what it said last, for people."""

    def __init__(self, message: str, last_lines: list[str]) -> None:
        super().__init__(message)
        self.last_lines = last_lines


class System:
    """The whole system, as a context manager; ready within. Enter it on the main thread.

    Args:
        settings: how it runs.
        tell: is told each step of the start, one short line for people.
        plans: other programs than the services, for tests.

    Attributes:
        url: address of the gateway.
        logs: folder of the logs; valid while it runs.
    """

    def __init__(
        self,
        settings: SystemSettings,
        tell: Callable[[str], None] = lambda _: None,
        plans: tuple[ServicePlan, ...] | None = None,
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._plans = plans
        self._children: dict[str, Child] = {}
        self._redis: EmbeddedRedis | None = None
        self._folder: RunFolder | None = None
        self._note: RunningSystem | None = None
        self.url = f"http://{HOST}:{settings.port}"
        self.logs = Path()

    def __enter__(self) -> Self:
        """Starts everything and waits until it is ready.

        Raises:
            ServiceEnded: a service ended, or is not ready in time.
            Unavailable: a port is in use, Redis does not answer.
            FailedPrecondition: something is missing on this machine.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def has_own_redis(self) -> bool:
        """Whether its Redis began empty and goes with it."""
        return self._redis is not None

    def check(self) -> None:
        """Passes while every service runs.

        Raises:
            ServiceEnded: one has ended.
        """
        for child in self._children.values():
            if (status := child.exit_status()) is not None:
                raise _ended(child, status)

    def stop(self) -> None:
        """Asks every service to finish, group by group, ends those that do not, and removes what is temporary.

        A second Ctrl-C ends everything at once. May be called again.
        """
        try:
            for group in STOP_ORDER:
                self._stop([child for name, child in self._children.items() if name in group])
        finally:
            for child in self._children.values():
                child.kill()
                child.wait(time.monotonic() + 5.0)
                child.close()
            self._children.clear()
            if self._note:
                self._note.withdraw()
            if self._redis:
                self._redis.stop()
            if self._folder:
                self._folder.remove()

    def _start(self) -> None:
        settings = self._settings
        plans = self._plans or services_of(settings)
        self._folder = RunFolder(RunningSystem.note())
        self.logs = settings.logs or self._folder.path / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        redis_url = self._redis_url()
        (temporary := self._folder.path / "tmp").mkdir()
        for plan in plans:
            environment = environment_of(plan, redis_url=redis_url, temporary=temporary)
            self._children[plan.name] = Child(
                plan.name, plan.command, environment, self.logs / f"{plan.name}.log"
            )
        self._await_ready()
        self._note = RunningSystem(os.getpid(), self.url, redis_url)
        self._note.announce()

    def _redis_url(self) -> str:
        if url := self._settings.redis_url:
            asyncio.run(_check_redis(url))
            return url
        self._redis = EmbeddedRedis()
        self._tell(f"redis      ready on {HOST}:{self._redis.port} (embedded)")
        return self._redis.url

    def _await_ready(self) -> None:
        started_s = time.monotonic()
        waiting = dict(self._children)
        while waiting:
            self.check()
            for name, child in list(waiting.items()):
                if child.ready:
                    del waiting[name]
                    self._tell(f"{name:<10} ready after {time.monotonic() - started_s:.1f} s")
            if waiting and time.monotonic() > started_s + self._settings.start_s:
                child = next(iter(waiting.values()))
                raise ServiceEnded(
                    f"{child.name} is not ready after {self._settings.start_s:g} s: see {child.log}",
                    child.last_lines()[-SHOWN_LINES:],
                )
            time.sleep(LOOK_EVERY_S)

    def _stop(self, children: list[Child]) -> None:
        for child in children:
            child.ask_to_stop()
        deadline_s = time.monotonic() + STOP_S
        for child in children:
            child.wait(deadline_s)


async def _check_redis(url: str) -> None:
    async with RedisLink(url) as link:
        await link.check()


def _ended(child: Child, status: int) -> ServiceEnded:
    how = f"was killed by signal {-status}" if status < 0 else f"stopped with exit status {status}"
    if -status == signal.SIGKILL:
        how += " (was memory short?)"
    lines = child.last_lines()[-SHOWN_LINES:]
    return ServiceEnded(f"{child.name} {how}: {lines[-1] if lines else 'it said nothing'}", lines)
