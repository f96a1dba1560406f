"""The frame of every service: settings -> compose -> serve -> drain -> exit.

async def serve(process: Process[IngestSettings]) -> None:
    settings = process.settings
    async with RedisLink(settings.redis_url.get_secret_value()) as link, Channels(process.metrics) as channels:
        await process.wait_for("redis", link.check)
        captures = Captures(RedisStreams(link), …)
        process.spawn(captures.run(), "captures")
        server = process.rpc_server()
        server.add(ingest_pb2_grpc.add_IngestServiceServicer_to_server, IngestRpc(captures), ingest_pb2.DESCRIPTOR)
        async with process.serving(server):
            await process.until_stopped()
            await captures.drain()


def main() -> int:
    return run("ingest", IngestSettings, serve)
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Generic

from livestar.bus import keys
from livestar.core.backoff import Backoff
from livestar.core.errors import LiveStarError
from livestar.obs import Health, Metrics, ObservabilityEndpoint, Page, Tracing, configure_logs
from livestar.rpc import RpcServer
from livestar.service.settings import SettingsT, settings_or_exit

log = logging.getLogger("livestar.service")

FAILED = 1
"""Exit status of a service that could not start, or of which a task died."""


LAST_CALLS_S = 3.0
"""What calls under way get after the service has drained."""


class Stopped(Exception):
    """The process was asked to stop before it had started."""


class Process(Generic[SettingsT]):
    """One running service. Belongs to its event loop.

    Attributes:
        name: name of the service.
        settings: how it runs.
        metrics: its metrics.
        health: whether it can work.
        http_address: `host:port` of /metrics, /healthz and /readyz, as others reach it; empty before `run`.
        grpc_address: the same of its gRPC server; empty before `serving`, or without one.
        pages: what its HTTP port serves beside those, by prefix; fill it before `serving`.
    """

    def __init__(self, name: str, settings: SettingsT) -> None:
        self.name = name
        self.settings = settings
        self.http_address = ""
        self.grpc_address = ""
        self.metrics = Metrics(name)
        self.health = Health()
        self.pages: dict[str, Page] = {}
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: BaseException | None = None

    def spawn(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """Runs `work` beside the rest until `serving` ends and cancels it; if it fails, the process stops with exit status 1."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def stop(self) -> None:
        """Asks the process to stop, as SIGTERM does; from now on it is not ready."""
        self.health.drain()
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.is_set()

    async def until_stopped(self) -> None:
        """Returns when the process is asked to stop: take no new work, and finish or hand off what there is."""
        await self._stopping.wait()

    async def wait_for(self, what: str, check: Callable[[], Awaitable[None]]) -> None:
        """Returns when `check()` passes; until then /readyz names `what` with its error, and the log says it once.

        Raises:
            LiveStarError: an error that will not pass by itself.
            Stopped: the process was asked to stop first.
        """
        backoff, told = Backoff(0.1, 2.0), False
        while not self.stopping:
            try:
                await check()
            except LiveStarError as error:
                if not error.retryable:
                    raise
                self.health.fails(what, str(error))
                if not told:
                    log.warning("waiting for %s: %s", what, error)
                    told = True
                await self._pause(backoff.pause_s())
            else:
                self.health.passes(what)
                return
        raise Stopped

    async def keep_checking(
        self, what: str, check: Callable[[], Awaitable[None]], *, every_s: float = 2.0
    ) -> None:
        """Keeps /readyz true about `what`, for ever; spawn it."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await check()
            except LiveStarError as error:
                self.health.fails(what, str(error))
            else:
                self.health.passes(what)

    def rpc_server(self, *, max_calls: int = 1024) -> RpcServer:
        """A server on this process's port, to add services to."""
        return RpcServer(
            self.metrics, host=self.settings.host, port=self.settings.grpc_port, max_calls=max_calls
        )

    @asynccontextmanager
    async def serving(self, server: RpcServer | None = None) -> AsyncIterator[None]:
        """Serves and is ready within; at the end refuses new calls, gives those under way a few seconds, and cancels tasks.

        Within, await `until_stopped()` and then finish or hand off what there is; all of it together takes `drain_s` at most.
        """
        following: list[asyncio.Task[None]] = []
        if server:
            await server.start()
            changed = asyncio.Event()
            self.health.on_change(lambda _: changed.set())
            following.append(asyncio.create_task(self._tell(server, changed), name="health"))
        self.health.started()
        self.grpc_address = self.settings.advertised(server.port) if server else ""
        # Whoever started this process reads this line: it says where it listens, also where the port was any free one.
        log.info("ready", extra={"event": "ready", "grpc": self.grpc_address, "http": self.http_address})
        try:
            yield
        finally:
            self.health.drain()
            for task in following:
                task.cancel()
            if server:
                await server.set_serving(serving=False)
                await server.stop(min(LAST_CALLS_S, self.settings.drain_s))
            # Before what they use is closed.
            await self._cancel_tasks()

    async def run(self, serve: Callable[[Process[SettingsT]], Awaitable[None]]) -> int:
        """Runs the service to its end; returns the exit status."""
        try:
            async with ObservabilityEndpoint(
                self.metrics,
                self.health,
                host=self.settings.host,
                port=self.settings.http_port,
                pages=self.pages,
            ) as endpoint:
                self.http_address = self.settings.advertised(endpoint.port)
                await self._to_its_end(asyncio.ensure_future(serve(self)))
        except LiveStarError as error:
            self._failed = self._failed or error
            log.error("%s", error)
        except Stopped:
            pass
        except Exception as error:  # the boundary of the process: logged once, and out
            self._failed = self._failed or error
            log.exception("failed")
        finally:
            await self._cancel_tasks()
        return FAILED if self._failed else 0

    async def _to_its_end(self, serving: asyncio.Future[None]) -> None:
        """Awaits `serving`; once the process is asked to stop, for `drain_s` at most."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not serving.done():
            await asyncio.wait((serving,), timeout=self.settings.drain_s + 1.0)
        if not serving.done():
            log.warning("not drained in time: leaving")
            serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving

    async def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("%s failed: %s", task.get_name(), error, exc_info=error)
            self._failed = self._failed or error
            self.stop()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _tell(self, server: RpcServer, changed: asyncio.Event) -> None:
        while True:
            await changed.wait()
            changed.clear()
            await server.set_serving(serving=self.health.ready)


def run(name: str, settings: type[SettingsT], serve: Callable[[Process[SettingsT]], Awaitable[None]]) -> int:
    """The main function of a service: reads its settings, runs it, and returns the exit status.

    0: it was asked to stop and drained; 1: it failed; 2: its settings cannot work.
    """
    parsed = settings_or_exit(settings)
    keys.use_prefix(parsed.key_prefix)
    configure_logs(name, level=parsed.log_level, style=parsed.log_format)
    tracing = Tracing(name, parsed.otlp_endpoint)
    try:
        return asyncio.run(_run(name, parsed, serve))
    finally:
        tracing.close()


async def _run(name: str, settings: SettingsT, serve: Callable[[Process[SettingsT]], Awaitable[None]]) -> int:
    loop = asyncio.get_running_loop()
    process = Process(name, settings)
    signals = (signal.SIGTERM, signal.SIGINT)
    for signum in signals:
        loop.add_signal_handler(signum, process.stop)
    try:
        return await process.run(serve)
    finally:
        for signum in signals:
            loop.remove_signal_handler(signum)
            # On the way out a second one would turn the exit status into a death.
            signal.signal(signum, signal.SIG_IGN)
