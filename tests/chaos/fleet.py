"""The system as a cluster would run it: two of each service, each started again when it ends, and a network that can be cut."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from chaos.proxy import Network, Proxy
from livestar.bus import EmbeddedRedis
from livestar.client.system.child import Child
from livestar.client.system.plan import ServicePlan, SystemSettings, environment_of, free_port, services_of

RESTART_AFTER_S = 1.0
START_S = 120.0
REPLICAS = {"memory": 2, "vision": 2, "decoder": 2, "ingest": 2, "gateway": 2}


@dataclass
class Member:
    """One replica of a service.

    Attributes:
        name: such as "decoder-1".
        service: such as "decoder".
        port: that others know it by; 0 where it is found through Redis.
        to_redis: its way to Redis.
        child: its process.
        down_since_s: when it was seen to have ended.
        stopped: whether SIGSTOP holds it.
    """

    name: str
    service: str
    port: int
    to_redis: Proxy
    plan: ServicePlan
    environment: dict[str, str]
    child: Child | None = None
    down_since_s: float = 0.0
    stopped: bool = False
    starts: int = field(default=0)


class Fleet:
    """See the module. Belongs to the main thread: children go with the thread that started them.

    Args:
        folder: for logs, Redis' file, and what is temporary.
        files: recordings that may be watched.
        settings: of services, such as {"decoder": {"POSITIONS": "recomputed"}}.
        replicas: how many of each service.

    Attributes:
        members: every replica.
        gateways: addresses of the gateways.
    """

    def __init__(
        self, folder: Path, files: Path, settings: dict[str, dict[str, str]], replicas: dict[str, int]
    ) -> None:
        self._folder = folder
        self._redis = EmbeddedRedis(data=folder / "redis")
        self._redis_port = self._redis.port
        self.network = Network()
        self.members: list[Member] = []
        memory_ports = [free_port() for _ in range(replicas["memory"])]
        self.to_memory = self.network.proxy(*memory_ports)
        plans = {plan.name: plan for plan in services_of(SystemSettings(port=free_port(), files=(files,)))}
        for service, count in replicas.items():
            for number in range(count):
                port = {"memory": memory_ports[number] if service == "memory" else 0}.get(service, 0)
                own = {**plans[service].settings, **settings.get(service, {})}
                if service == "memory":
                    own["GRPC_PORT"] = str(port)
                if service == "decoder":
                    own["MEMORY"] = f"127.0.0.1:{self.to_memory.port}"
                if service == "gateway":
                    port = free_port()
                    own["PORT"] = str(port)
                self._add(f"{service}-{number + 1}", port, ServicePlan(service, plans[service].command, own))
        self.gateways = [f"http://127.0.0.1:{m.port}" for m in self.members if m.service == "gateway"]

    def _add(self, name: str, port: int, plan: ServicePlan) -> None:
        to_redis = self.network.proxy(self._redis_port)
        environment = environment_of(
            plan, redis_url=f"redis://127.0.0.1:{to_redis.port}/0", temporary=self._folder
        )
        self.members.append(Member(name, plan.name, port, to_redis, plan, environment))

    def start(self) -> None:
        """Starts everything and waits until it is ready."""
        for member in self.members:
            self._start(member)
        until_s = time.monotonic() + START_S
        while not all(member.child and member.child.ready for member in self.members):
            self.look_after()
            assert time.monotonic() < until_s, "not every service became ready"
            time.sleep(0.1)

    def look_after(self) -> None:
        """Starts again what has ended, as a cluster would; call it often."""
        for member in self.members:
            if member.child is None or member.child.exit_status() is None:
                continue
            if not member.down_since_s:
                member.down_since_s = time.monotonic()
            elif time.monotonic() - member.down_since_s > RESTART_AFTER_S:
                member.child.close()
                self._start(member)

    def sleep(self, seconds: float) -> None:
        """Waits, and looks after everybody meanwhile."""
        self.until(lambda: False, seconds)

    def until(self, reached: Callable[[], bool], within_s: float) -> bool:
        """Whether something comes true in time; looks after everybody meanwhile."""
        until_s = time.monotonic() + within_s
        while not reached():
            if time.monotonic() > until_s:
                return False
            self.look_after()
            time.sleep(0.05)
        return True

    def settled(self) -> bool:
        """Whether every process runs and is ready."""
        return all(
            m.child and m.child.exit_status() is None and m.child.ready and not m.stopped
            for m in self.members
        )

    def send(self, member: Member, signum: signal.Signals) -> None:
        """A signal for one process."""
        assert member.child
        with suppress(ProcessLookupError):
            os.kill(member.child.pid, signum)
        member.stopped = signum == signal.SIGSTOP or (member.stopped and signum != signal.SIGCONT)

    def end_redis(self, signum: signal.Signals) -> None:
        """A signal that ends Redis."""
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if (
                    any(f"{self._redis_port}" in word for word in process.cmdline())
                    and "server" in process.name()
                ):
                    process.send_signal(signum)
                    process.wait(10)
                    return
        raise AssertionError("Redis is not among our processes")

    def start_redis(self) -> None:
        """Redis comes back with what it had written."""
        self._redis.stop()
        self._redis = EmbeddedRedis(data=self._folder / "redis", port=self._redis_port)

    def redis(self) -> redis.Redis:
        """Straight to Redis, past every proxy."""
        return redis.Redis(port=self._redis_port, socket_timeout=5)

    def stop(self) -> None:
        """Ends everything."""
        for member in self.members:
            if member.child:
                self.send(member, signal.SIGCONT)
                member.child.ask_to_stop()
        until_s = time.monotonic() + 20
        for member in self.members:
            if member.child and not member.child.wait(until_s):
                member.child.kill()
                member.child.wait(time.monotonic() + 5)
        self._redis.stop()

    def _start(self, member: Member) -> None:
        member.starts += 1
        log = self._folder / f"{member.name}.{member.starts}.log"
        member.child = Child(member.name, member.plan.command, member.environment, log)
        member.down_since_s, member.stopped = 0.0, False


@contextmanager
def running(
    folder: Path, files: Path, settings: dict[str, dict[str, str]], replicas: dict[str, int] = REPLICAS
) -> Iterator[Fleet]:
    """A fleet that is ready; ended at the end."""
    fleet = Fleet(folder, files, settings, replicas)
    try:
        fleet.start()
        yield fleet
    finally:
        fleet.stop()
