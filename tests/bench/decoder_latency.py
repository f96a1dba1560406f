"""Many live streams on one decoder: from a frame on the bus to its decision before subscribers' eyes, as JSON.

`python tests/bench/decoder_latency.py [--streams 16] [--seconds 60] [--dtype float32]`

Real processes: Redis, memory, decoder. Visual tokens are computed beforehand and published at one frame a second and stream,
streams out of step with each other; vision and ingest are not part of it. A frame counts from the moment when it is published to
the moment when a subscriber, who reads `events:{stream}` of all streams, holds its decision.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.environment import environment
from fakes.decoding import Edge, Seen
from fakes.nano import Nano
from fakes.service_process import ServiceProcess, service
from livestar.api.v1 import events_pb2
from livestar.bus import EmbeddedRedis, RedisLink, keys
from livestar.core.ids import StreamId

WARM_UP_FRAMES = 5


class Subscriber:
    """Reads every stream, and notes when each narrated frame was seen, and how long it took."""

    def __init__(self, edge: Edge, streams: list[StreamId]) -> None:
        self._edge = edge
        self._cursors = {keys.events(stream): "0-0" for stream in streams}
        self.delays_s: dict[tuple[str, int], float] = {}
        self.first_word_s: dict[tuple[str, int], float] = {}
        self.num_spoken = 0

    async def run(self) -> None:
        while True:
            entries = await self._edge.bus.read(self._cursors, count=256, block_s=0.5)
            now_ns = time.time_ns()
            for entry in entries:
                self._cursors[entry.key] = entry.id
                self._note(events_pb2.StreamEvent.FromString(entry.payload), now_ns)

    def _note(self, event: events_pb2.StreamEvent, now_ns: int) -> None:
        frame, delay_s = (event.stream_id, event.frame_sequence), (now_ns - event.captured_at_ns) / 1e9
        if event.HasField("text_piece"):
            self.first_word_s.setdefault(frame, delay_s)
        elif event.HasField("decision"):
            self.delays_s[frame] = delay_s
            self.num_spoken += event.decision.action == events_pb2.ACTION_SPEAK


async def play(edge: Edge, seen: Seen, offset_s: float, num_frames: int) -> None:
    start_s = time.monotonic() + offset_s
    for number in range(1, num_frames + 1):
        await asyncio.sleep(max(0.0, start_s + number - 1 - time.monotonic()))
        await edge.publish([seen.message(number)])


async def measure(
    url: str, processes: dict[str, ServiceProcess], options: argparse.Namespace, nano: Nano
) -> dict:
    num_frames = options.seconds
    length = min(num_frames, 60)
    clips = [nano.seen(f"s-{n}", family=n % 8, num_frames=length, seed=n) for n in range(options.streams)]
    for index, clip in enumerate(clips):
        clips[index] = Seen(clip.stream, clip.model_id, clip.tokens.repeat(-(-num_frames // length), 1, 1))
    async with RedisLink(url) as link:
        edge = Edge(link)
        for clip in clips:
            await edge.create(clip.stream, max_in_flight=8)
        await edge.until_owned(len(clips))
        subscriber = Subscriber(edge, [clip.stream for clip in clips])
        reading = asyncio.create_task(subscriber.run())
        before_s = {name: processor_s(process) for name, process in processes.items()}
        started_s = time.monotonic()
        await asyncio.gather(*(play(edge, clip, n / len(clips), num_frames) for n, clip in enumerate(clips)))
        for clip in clips:
            await edge.until_settled(clip.stream, num_frames)
        finished_s = time.monotonic() - started_s
        used_s = {name: processor_s(process) - before_s[name] for name, process in processes.items()}
        await asyncio.sleep(0.5)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    kept = {at: d for at, d in subscriber.delays_s.items() if at[1] > WARM_UP_FRAMES}
    words = [d for at, d in subscriber.first_word_s.items() if at[1] > WARM_UP_FRAMES]
    return {
        "streams": len(clips),
        "frames": len(subscriber.delays_s),
        "spoken": subscriber.num_spoken,
        "settled_after_the_last_frame_s": round(finished_s - (num_frames - 1 + 1 - 1 / len(clips)), 3),
        "frame_to_decision_s": quantiles(list(kept.values())),
        "frame_to_first_word_s": quantiles(words),
        "processor_ms_a_frame": {
            name: round(1000 * seconds / (num_frames * len(clips)), 2) for name, seconds in used_s.items()
        },
        "load_average": round(os.getloadavg()[0], 1),
        "decoder": metrics_of(processes["decoder"]),
    }


def processor_s(process: ServiceProcess) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def quantiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    named = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    return {name: round(float(np.percentile(values, q)), 4) for name, q in named.items()}


def metrics_of(process: ServiceProcess) -> dict[str, float]:
    """Means of what the decoder measured of itself."""
    with urllib.request.urlopen(f"http://{process.http}/metrics", timeout=5) as answer:
        lines = [line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#"]
    values = {name.removeprefix("livestar_decoder_"): float(value) for name, value in lines}

    def mean(what: str, label: str = "") -> float:
        total, count = (values.get(f"{what}_{part}{label}", 0.0) for part in ("sum", "count"))
        return round(total / count, 4) if count else 0.0

    return {
        "verify_pass_s": mean("pass_seconds", '{kind="verify"}'),
        "decode_pass_s": mean("pass_seconds", '{kind="decode"}'),
        "mixed_pass_s": mean("pass_seconds", '{kind="mixed"}'),
        "streams_a_pass": mean("batch_streams"),
        "commit_s": mean("commit_seconds"),
        "plans_by_memory": values.get('plans_total{made="memory"}', 0.0),
        "plans_here": values.get('plans_total{made="here"}', 0.0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    options = parser.parse_args()
    nano = Nano()
    with EmbeddedRedis() as redis, tempfile.TemporaryDirectory() as folder:
        shared = {"key_prefix": ""}
        with (
            service("memory", redis.url, Path(folder, "memory.log"), **shared) as memory,
            service(
                "decoder",
                redis.url,
                Path(folder, "decoder.log"),
                memory=memory.grpc,
                dtype=options.dtype,
                **shared,
            ) as decoder,
        ):
            measured = asyncio.run(measure(redis.url, {"memory": memory, "decoder": decoder}, options, nano))
    json.dump({**environment(), "dtype": options.dtype, **measured}, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
