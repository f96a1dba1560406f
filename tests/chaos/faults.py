"""What goes wrong, when, and for how long: a schedule that a seed decides."""

from __future__ import annotations

import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from chaos.fleet import Fleet, Member


class Kind(StrEnum):
    """Kinds of faults. A crash is unforeseen and ends a process or freezes it; a drain is asked for; a cut is the network's."""

    CRASH = "crash"
    FREEZE = "freeze"
    DRAIN = "drain"
    CUT = "cut"
    REDIS = "redis"


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        kind: see `Kind`.
        target: a service; for cuts the connection, such as "vision-redis"; for Redis the signal.
        seconds: how long it lasts, where somebody has to end it.
    """

    kind: Kind
    target: str
    seconds: float = 0.0


SERVICES = ("decoder", "vision", "ingest", "memory", "gateway")
FREEZE_S = {"decoder": 9.0, "ingest": 9.0}
"""Longer than a lease, where there is one: another takes over, and who wakes up has to notice."""

WEIGHTS: tuple[tuple[Fault, int], ...] = (
    *((Fault(Kind.CRASH, service), 5 if service == "decoder" else 3) for service in SERVICES),
    *((Fault(Kind.FREEZE, service, FREEZE_S.get(service, 4.0)), 2) for service in SERVICES),
    *((Fault(Kind.DRAIN, service), 4 if service == "decoder" else 2) for service in SERVICES),
    *((Fault(Kind.CUT, f"{service}-redis", 2.0), 1) for service in SERVICES),
    (Fault(Kind.CUT, "decoder-memory", 2.0), 3),
    (Fault(Kind.REDIS, "SIGKILL", 1.0), 2),
    (Fault(Kind.REDIS, "SIGTERM", 1.0), 1),
)
"""How often each comes among 50."""


def schedule(num_faults: int, seed: int) -> list[Fault]:
    """So many faults: whole decks of all kinds in an order that the seed decides; a part of one deck has its share of each."""
    dice = random.Random(seed)
    deck = [fault for fault, count in WEIGHTS for _ in range(count)]
    faults: list[Fault] = []
    while len(faults) < num_faults:
        dice.shuffle(deck)
        faults += deck
    return faults[:num_faults]


class Injector:
    """Does a fault to a fleet; which replica is hit the seed decides.

    Args:
        fleet: the system.
        seed: of the choice.
    """

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self._fleet = fleet
        self._dice = random.Random(seed + 1)

    def inject(self, fault: Fault) -> str:
        """Does it, waits for its end, and returns whom it has hit."""
        match fault.kind:
            case Kind.CRASH:
                return self._signal(fault, signal.SIGKILL)
            case Kind.DRAIN:
                return self._signal(fault, signal.SIGTERM)
            case Kind.FREEZE:
                member = self._one(fault.target)
                self._fleet.send(member, signal.SIGSTOP)
                self._fleet.sleep(fault.seconds)
                self._fleet.send(member, signal.SIGCONT)
                return member.name
            case Kind.REDIS:
                self._fleet.end_redis(signal.Signals[fault.target])
                self._fleet.sleep(fault.seconds)
                self._fleet.start_redis()
                return "redis"
            case Kind.CUT:
                return self._cut(fault)

    def _signal(self, fault: Fault, signum: signal.Signals) -> str:
        member = self._one(fault.target)
        self._fleet.send(member, signum)
        return member.name

    def _cut(self, fault: Fault) -> str:
        service, _, far = fault.target.partition("-")
        member = self._one(service)
        proxy = self._fleet.to_memory if far == "memory" else member.to_redis
        self._fleet.network.cut(proxy, cut=True)
        self._fleet.sleep(fault.seconds)
        self._fleet.network.cut(proxy, cut=False)
        return f"all-{far}" if far == "memory" else f"{member.name}-{far}"

    def _one(self, service: str) -> Member:
        return self._dice.choice([m for m in self._fleet.members if m.service == service])


def kinds(faults: Sequence[Fault]) -> dict[str, int]:
    """How many of each kind."""
    return {str(kind): sum(f.kind is kind for f in faults) for kind in Kind}
