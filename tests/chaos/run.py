"""One run of chaos: start, break, listen, take stock."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx

from chaos import account
from chaos.account import Losses
from chaos.faults import Fault, Injector, Kind, kinds, schedule
from chaos.fleet import Fleet, running
from chaos.listener import Listener
from chaos.oracle import Comparison, compare
from e2e.whole import write_clip
from livestar.api.v1 import events_pb2
from livestar.synth import Split, make_clip
from livestar.synth.catalogue import families

SECONDS = 60
PERIOD_S = 1.0
RECOVER_S = 60.0
REST_S = 1.5
WARM_UP_S = 6.0
MAX_CRASH_GAP_S, MAX_DRAIN_GAP_S = 10.0, 2.0

SETTINGS: dict[str, dict[str, str]] = {
    "gateway": {"HEARTBEAT_S": "1"},
    "decoder": {"NUM_PAGES": "4096"},
    "ingest": {"PREVIEW": "false"},
}


@dataclass(frozen=True)
class Plan:
    """What to do.

    Attributes:
        faults: how many.
        seed: decides which, and whom they hit.
        streams: how many are watched, a family of scenes each in turn.
        listeners: subscribers of each.
        positions: the decoders' setting: "recomputed" makes a restored stream equal to one that was never interrupted.
        folder: for logs and recordings.
    """

    faults: int
    seed: int
    streams: int
    listeners: int
    positions: str
    folder: Path


@dataclass
class Outcome:
    """One fault, and what came of it."""

    fault: Fault
    hit: str
    gap_s: float
    recovered: bool


@dataclass
class Run:
    """What has been seen so far.

    Attributes:
        outcomes: of the faults, in order.
        heard: by stream, its listeners.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    heard: dict[str, list[Listener]] = field(default_factory=dict)

    def listeners(self) -> list[Listener]:
        """All of them."""
        return [listener for listeners in self.heard.values() for listener in listeners]


def chaos(plan: Plan) -> dict[str, Any]:
    """Runs a plan and returns the account: see the README beside this file for what each figure means."""
    (files := plan.folder / "files").mkdir(parents=True)
    recordings = _recordings(files, plan.streams)
    settings = {**SETTINGS, "decoder": {**SETTINGS["decoder"], "POSITIONS": plan.positions}}
    run, began_s = Run(), time.monotonic()
    with running(plan.folder, files, settings) as fleet:
        _say(f"{len(fleet.members)} processes are ready")
        _watch(fleet, recordings, plan, run)
        _break(fleet, plan, run)
        lasts = _end(fleet, run)
    seconds = time.monotonic() - began_s
    comparisons = _compare(plan, recordings, run)
    return _account(plan, run, lasts, comparisons, seconds)


def _recordings(files: Path, count: int) -> dict[str, Path]:
    names = [family.name for family in families()]
    found = {}
    for number in range(count):
        family = names[number % len(names)]
        clip = make_clip(family, 40 + number, float(SECONDS), Split.TEST)
        found[f"{family}-{number}"] = write_clip(clip, files / f"{family}-{number}.mp4", size=224)
    return found


def _watch(fleet: Fleet, recordings: dict[str, Path], plan: Plan, run: Run) -> None:
    for stream, path in recordings.items():
        body = {"id": stream, "source": str(path), "pace": "realtime", "loop": True, "max_in_flight": 16}
        answer = httpx.post(f"{fleet.gateways[0]}/v1/streams", json=body, timeout=30, trust_env=False)
        assert answer.status_code == 201, answer.text
        run.heard[stream] = [Listener(fleet.gateways, stream, n) for n in range(plan.listeners)]
    for listener in run.listeners():
        listener.start()
    assert fleet.until(lambda: _all_decided_since(run, 0.0), RECOVER_S), "not every stream is decided"
    fleet.sleep(WARM_UP_S)


def _break(fleet: Fleet, plan: Plan, run: Run) -> None:
    injector = Injector(fleet, plan.seed)
    for number, fault in enumerate(schedule(plan.faults, plan.seed), start=1):
        begin_s = time.monotonic()
        hit = injector.inject(fault)
        ended_s = time.monotonic()
        recovered = fleet.until(partial(_recovered, fleet, run, ended_s), RECOVER_S)
        fleet.sleep(REST_S)
        over_s = time.monotonic()
        gap_s = max(account.longest_silence_s(one, begin_s, over_s, PERIOD_S) for one in run.listeners())
        run.outcomes.append(Outcome(fault, hit, gap_s, recovered))
        note = "" if recovered else ", NOT RECOVERED"
        _say(f"{number}/{plan.faults} {fault.kind} {hit}: {gap_s:.1f} s of silence{note}")


def _end(fleet: Fleet, run: Run) -> dict[str, int]:
    """Stops every stream; returns the last event of each."""
    fleet.sleep(3 * PERIOD_S)
    for stream in run.heard:
        httpx.delete(f"{fleet.gateways[0]}/v1/streams/{stream}", timeout=30, trust_env=False)
    fleet.until(lambda: all(listener.over for listener in run.listeners()), RECOVER_S)
    for listener in run.listeners():
        listener.leave()
    lasts = {}
    with fleet.redis() as link:
        for stream in run.heard:
            [newest] = link.xrevrange(f"livestar:events:{{{stream}}}", count=1) or [(b"0-0", {})]
            lasts[stream] = int(newest[0].partition(b"-")[0])
    return lasts


def _recovered(fleet: Fleet, run: Run, at_s: float) -> bool:
    return fleet.settled() and _all_decided_since(run, at_s)


def _all_decided_since(run: Run, at_s: float) -> bool:
    return all(listener.decided_since(at_s) for listener in run.listeners())


def _compare(plan: Plan, recordings: dict[str, Path], run: Run) -> list[Comparison]:
    _say("watching the same frames again without interruption")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        waiting = [
            pool.submit(
                _compared, stream, path, [e.SerializeToString() for e in _events(run, stream)], plan.positions
            )
            for stream, path in recordings.items()
        ]
        return [one.result() for one in waiting]


def _compared(stream: str, path: Path, events: Sequence[bytes], positions: str) -> Comparison:
    parsed = [events_pb2.StreamEvent.FromString(data) for data in events]
    return compare(stream, path, SECONDS, parsed, positions)


def _events(run: Run, stream: str) -> list[events_pb2.StreamEvent]:
    """What the first listener of a stream saw, each event once."""
    seen = {h.event.sequence: h.event for h in run.heard[stream][0].heard if h.event.sequence}
    return [seen[sequence] for sequence in sorted(seen)]


def _account(
    plan: Plan, run: Run, lasts: dict[str, int], comparisons: Sequence[Comparison], seconds: float
) -> dict[str, Any]:
    losses = Losses()
    for stream, listeners in run.heard.items():
        for listener in listeners:
            losses += account.of_subscriber(listener.heard, lasts[stream])
        losses += account.of_stream(_events(run, stream))
    crash = _gaps(run, Kind.CRASH, Kind.FREEZE)
    drain = _gaps(run, Kind.DRAIN)
    takeovers = sum(c.takeovers for c in comparisons)
    preserved = sum(c.preserved for c in comparisons)
    lost = [stream for stream, listeners in run.heard.items() if not all(one.over for one in listeners)]
    return {
        "faults": len(run.outcomes),
        "kinds": kinds([outcome.fault for outcome in run.outcomes]),
        "seed": plan.seed,
        "streams": plan.streams,
        "subscribers": len(run.listeners()),
        "seconds": round(seconds),
        "streams_lost": len(lost),
        "faults_not_recovered": sum(not outcome.recovered for outcome in run.outcomes),
        "decisions": sum(c.decisions for c in comparisons),
        "decisions_lost": losses.lost,
        "decisions_duplicated": losses.duplicated,
        "decisions_reordered": losses.reordered,
        "frames_told_missing": losses.told_missing,
        "reconnections": sum(one.connections - 1 for one in run.listeners()),
        "gap_crash_p95_s": crash["p95_s"],
        "gap_drain_p95_s": drain["p95_s"],
        "gap_crash": crash,
        "gap_drain": drain,
        "gap_cut": _gaps(run, Kind.CUT),
        "gap_redis": _gaps(run, Kind.REDIS),
        "positions": plan.positions,
        "takeovers": takeovers,
        "memory_preserved": round(preserved / takeovers, 4) if takeovers else 1.0,
        "decisions_equal": round(
            sum(c.equal for c in comparisons) / max(1, sum(c.decisions for c in comparisons)), 5
        ),
        "largest_difference_nats": max(c.largest_nats for c in comparisons),
        "differences": [f"{c.stream}: {c.first_difference}" for c in comparisons if c.first_difference],
        "outcomes": [
            {**asdict(o.fault), "hit": o.hit, "gap_s": round(o.gap_s, 2), "recovered": o.recovered}
            for o in run.outcomes
        ],
    }


def _gaps(run: Run, *wanted: Kind) -> dict[str, Any]:
    return account.spread([o.gap_s for o in run.outcomes if o.fault.kind in wanted])


def misses(told: dict[str, Any]) -> list[str]:
    """The promises that a run has not kept."""
    found = [
        f"{name} is {told[name]}, not 0"
        for name in (
            "streams_lost",
            "faults_not_recovered",
            "decisions_lost",
            "decisions_duplicated",
            "decisions_reordered",
        )
        if told[name]
    ]
    for name, most in (("gap_crash_p95_s", MAX_CRASH_GAP_S), ("gap_drain_p95_s", MAX_DRAIN_GAP_S)):
        if told[name] is not None and told[name] > most:
            found.append(f"{name} is {told[name]}, more than {most:g}")
    if told["positions"] == "recomputed" and told["memory_preserved"] < 1:
        found.append(f"memory_preserved is {told['memory_preserved']}, not 1")
    return found


def _say(what: str) -> None:
    sys.stderr.write(f"chaos: {what}\n")
    sys.stderr.flush()


def as_line(told: dict[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps(told, ensure_ascii=False)
