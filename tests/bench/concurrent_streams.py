"""Many live streams through the real system: every service a process, a real Redis, one listener a stream.

Clips of SynthStar are rendered beforehand and played in a loop at the pace of life. After `--warm-up` seconds, when every
stream's memory is full, `--seconds` are measured. Prints one JSON object; exits 1 when the streams fall behind.

    python tests/bench/concurrent_streams.py [--streams 16] [--seconds 120] [--fps 1] [--dtype float32]

A frame is *due* at its presentation time after the first frame of its stream. `frame_to_decision_ms` is from the moment that
ingest has a frame to the narration's decision, the caption included where it speaks; `frame_to_subscriber_ms` to its arrival over
server-sent events; `behind_live_s` from when the frame was due to the decision, so it counts what ingest is late, too.
Streams fall behind when a frame is dropped or lost, or the last quarter is more than a second further behind than the first.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.environment import environment
from e2e.whole import SERVICES, Whole, running, write_clip
from livestar.synth import Split, families, make_clip

NS = 1_000_000_000


@dataclass
class Listener:
    """One subscriber of one stream: notes what comes and when, and parses it afterwards, so as to take little time."""

    url: str
    stream: str
    chunks: list[tuple[int, bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Listens until the gateway goes."""
        threading.Thread(target=self._listen, daemon=True).start()

    def events(self) -> list[tuple[int, dict[str, Any]]]:
        """Each event, with the Unix time in ns at which its last byte came."""
        found, rest = [], b""
        for at_ns, data in list(self.chunks):
            *blocks, rest = (rest + data).split(b"\n\n")
            for block in blocks:
                lines = dict(line.split(b": ", 1) for line in block.split(b"\n"))
                if b"data" in lines:
                    found.append((at_ns, json.loads(lines[b"data"])))
        return found

    def _listen(self) -> None:
        with (
            contextlib.suppress(httpx.HTTPError),
            httpx.Client(trust_env=False, timeout=60) as client,
            client.stream("GET", f"{self.url}/v1/streams/{self.stream}/events?after=0") as response,
        ):
            for data in response.iter_raw():
                self.chunks.append((time.time_ns(), data))


def clips(folder: Path, number: int, seconds: int, fps: int, size: int) -> list[Path]:
    """One recording a stream, of families in turn."""
    names = [family.name for family in families()]
    made = []
    for index in range(number):
        clip = make_clip(names[index % len(names)], 100 + index, float(seconds), Split.TEST)
        made.append(write_clip(clip, folder / f"clip-{index}.mp4", fps=fps, size=size))
    return made


def cpu_s(processes: dict[str, psutil.Process]) -> dict[str, float]:
    """Processor seconds so far, by service."""
    spent = {}
    for name, process in processes.items():
        family = [process, *process.children(recursive=True)]
        spent[name] = sum(sum(one.cpu_times()[:2]) for one in family)
    return spent


def all_processes(whole: Whole) -> dict[str, psutil.Process]:
    """Every service, Redis, and this process, which listens."""
    ours = psutil.Process()
    found = whole.processes()
    for child in ours.children(recursive=True):
        if any(name in child.name() for name in ("redis-server", "valkey-server")):
            found["redis"] = child
    return {name: found[name] for name in (*SERVICES, "redis") if name in found}


def percentiles(values: list[float], scale: float, digits: int) -> dict[str, float]:
    """p50, p95, p99 and the largest."""
    if not values:
        return {}
    found = {f"p{p}": round(float(np.percentile(values, p)) * scale, digits) for p in (50, 95, 99)}
    return found | {"max": round(max(values) * scale, digits)}


def measured(listeners: list[Listener], began_ns: int, ended_ns: int) -> dict[str, Any]:
    """What the frames that were due in between tell."""
    to_decision, to_subscriber, behind, ingest_late = [], [], [], []
    quarters: dict[str, list[float]] = {"first": [], "last": []}
    spoke = missing = 0
    quarter_ns = (ended_ns - began_ns) / 4
    for listener in listeners:
        events = listener.events()
        decisions = [
            (at_ns, event)
            for at_ns, event in events
            if event.get("decision", {}).get("channel") == "narration"
        ]
        zero_ns = min(int(e["captured_at_ns"]) - int(e.get("pts_ns", 0)) for _, e in decisions)
        for at_ns, event in decisions:
            captured_ns, decided_ns = int(event["captured_at_ns"]), int(event["decided_at_ns"])
            due_ns = zero_ns + int(event.get("pts_ns", 0))
            if not began_ns <= due_ns < ended_ns:
                continue
            to_decision.append((decided_ns - captured_ns) / NS)
            to_subscriber.append((at_ns - captured_ns) / NS)
            ingest_late.append((captured_ns - due_ns) / NS)
            behind.append((decided_ns - due_ns) / NS)
            spoke += event["decision"]["action"] == "ACTION_SPEAK"
            if due_ns < began_ns + quarter_ns:
                quarters["first"].append(behind[-1])
            elif due_ns >= ended_ns - quarter_ns:
                quarters["last"].append(behind[-1])
        for _, event in events:
            if gap := event.get("frames_missing"):
                missing += int(gap["last_sequence"]) - int(gap["first_sequence"]) + 1
    drift_s = float(np.median(quarters["last"]) - np.median(quarters["first"]))
    return {
        "frames": len(behind),
        "frames_per_s": round(len(behind) * NS / (ended_ns - began_ns), 2),
        "spoken_share": round(spoke / max(1, len(behind)), 3),
        "frames_missing": missing,
        "frame_to_decision_ms": percentiles(to_decision, 1000, 0),
        "frame_to_subscriber_ms": percentiles(to_subscriber, 1000, 0),
        "behind_live_s": percentiles(behind, 1, 2),
        "ingest_late_s": percentiles(ingest_late, 1, 2),
        "drift_of_behind_live_s": round(drift_s, 2),
    }


def means(whole: Whole, service: str, names: dict[str, str]) -> dict[str, float]:
    """Means of histograms so far, in the unit of each."""
    text = httpx.get(f"{whole.http(service)}/metrics", trust_env=False).text
    found = {}
    for shown, name in names.items():
        total = count = 0.0
        for line in text.splitlines():
            sample, _, value = line.rpartition(" ")
            if sample.partition("{")[0] == f"{name}_sum":
                total += float(value)
            elif sample.partition("{")[0] == f"{name}_count":
                count += float(value)
        found[shown] = round(total / count, 4) if count else 0.0
    return found


MEANS = {
    "vision": {"batch_frames": "livestar_vision_batch_frames", "encode_s": "livestar_vision_encode_seconds"},
    "decoder": {
        "batch_streams": "livestar_decoder_batch_streams",
        "pass_s": "livestar_decoder_pass_seconds",
        "pass_rows": "livestar_decoder_pass_tokens",
        "commit_s": "livestar_decoder_commit_seconds",
    },
    "ingest": {
        "prepare_s": "livestar_ingest_prepare_seconds",
        "publish_s": "livestar_ingest_publish_seconds",
    },
}


def watch(whole: Whole, files: list[Path], options: argparse.Namespace) -> dict[str, Any]:
    """Plays all of them, and measures."""
    listeners = []
    for index, file in enumerate(files):
        stream = f"bench-{index}"
        body = {"id": stream, "source": str(file), "fps": options.fps, "pace": "realtime", "loop": True}
        whole.create(**body, retention={"max_events": 100_000})
        listeners.append(Listener(whole.url, stream))
        listeners[-1].start()
    time.sleep(options.warm_up)
    whole.check()
    processes = all_processes(whole)
    before, ours_before = cpu_s(processes), sum(psutil.Process().cpu_times()[:2])
    system_before, loads = psutil.cpu_times(), [os.getloadavg()[0]]
    began_ns = time.time_ns()
    while time.time_ns() < began_ns + options.seconds * NS:
        time.sleep(1.0)
        loads.append(os.getloadavg()[0])
    ended_ns = time.time_ns()
    took_s = (ended_ns - began_ns) / NS
    after, system_after = cpu_s(processes), psutil.cpu_times()
    cores = {name: round((after[name] - before[name]) / took_s, 3) for name in processes}
    cores["this bench, listening"] = round((sum(psutil.Process().cpu_times()[:2]) - ours_before) / took_s, 3)
    busy_s = sum(system_after[:3]) - sum(system_before[:3])
    details = {name: means(whole, name, wanted) for name, wanted in MEANS.items()}
    # What was due at the end gets a while to be decided.
    time.sleep(5.0)
    whole.check()
    report = measured(listeners, began_ns, ended_ns)
    with whole.client() as client:
        for listener in listeners:
            client.delete(f"/v1/streams/{listener.stream}")
    return {
        **report,
        "cores_used": cores | {"all of these": round(sum(cores.values()), 3)},
        "cores_used_by_others": round(busy_s / took_s - sum(cores.values()), 2),
        "means": details,
        "load_average": {"mean": round(float(np.mean(loads)), 1), "max": round(max(loads), 1)},
        "complaints": whole.complaints()[:5],
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--streams", type=int, default=16)
    add("--seconds", type=int, default=120, help="how long to measure")
    add("--warm-up", type=int, default=60, help="seconds before; nano's memory is full after 50 frames")
    add("--fps", type=float, default=1.0, help="frames watched per second and stream")
    add("--dtype", choices=("float32", "bfloat16"), default="float32")
    add("--image-format", choices=("jpeg", "png"), default="jpeg")
    add("--source-fps", type=int, default=15, help="of the recordings")
    add("--source-size", type=int, default=320, help="of the recordings, pixels")
    add("--clip-seconds", type=int, default=40, help="of the recordings, which loop")
    options = parser.parse_args()
    settings = {
        "LIVESTAR_VISION_DTYPE": options.dtype,
        "LIVESTAR_DECODER_DTYPE": options.dtype,
        "LIVESTAR_INGEST_IMAGE_FORMAT": options.image_format,
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (logs := root / "logs").mkdir()
        files = clips(root, options.streams, options.clip_seconds, options.source_fps, options.source_size)
        with running(logs, root, settings) as whole:
            report = watch(whole, files, options)
    expected = options.streams * options.fps
    keeps_up = (
        report["frames_missing"] == 0
        and report["drift_of_behind_live_s"] < 1.0
        and report["frames_per_s"] > 0.98 * expected
    )
    print(
        json.dumps(
            {
                "bench": "concurrent_streams",
                **vars(options),
                "keeps_up": keeps_up,
                **report,
                **environment(),
            },
            indent=1,
        )
    )
    return 0 if keeps_up else 1


if __name__ == "__main__":
    sys.exit(main())
