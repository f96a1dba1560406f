"""How many frames a second one CPU core narrates: four streams of SynthStar in one engine, one process, one thread.

Frames are rendered beforehand; encoding, verifying, the gate and speaking are measured. A frame waits for every stream at any
time, and every stream's memory is full before the clock starts. Prints one JSON object; exits 1 below 20 frames a
second of processor time (`frames_per_cpu_s`: what other processes on the core take does not count).

    taskset -c 0 python tests/bench/nano_speed.py [--dtype float32] [--streams 4] [--seconds 30] \
        [--max-trunk-tokens 1400] [--compare-dtypes]

A *round* is one turn of the loop: the streams whose inbox is empty get a frame (encoded together), and the engine makes one
pass. While nothing is said a round decides a frame of every stream; a stream that speaks takes a round for each token, and
the others go on meanwhile. `while_silent` is measured with a gate that never fires.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count, cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.environment import environment
from livestar.client.model_folder import Recommended
from livestar.client.placement import DTYPES
from livestar.core.decision import Action, Decision, StreamFailed
from livestar.core.frame import EncodedFrame
from livestar.core.ids import FrameNumber, StreamId
from livestar.engine import Engine, EngineSettings, GateSettings, StreamSettings
from livestar.engine.gate import NS_PER_S
from livestar.model import LoadedModel
from livestar.synth import Split, families, make_clip

TARGET_FPS = 20
CLIP_S = 120
NEVER = 1e30


def video(index: int, seconds: int, seed: int = 0) -> list[np.ndarray]:
    """The frames of a clip of the n-th family, one a second, uint8 [224, 224, 3]."""
    names = [info.name for info in families()]
    clip = make_clip(names[index % len(names)], seed + index // len(names), seconds, Split.TEST)
    return [clip.render(t) for t in range(seconds)]


class Camera:
    """One stream's frames, for ever: two clips of different families, again and again."""

    def __init__(self, index: int, num_cameras: int) -> None:
        self.stream = StreamId(f"camera-{index}")
        self._frames = cycle(video(index, CLIP_S) + video(index + num_cameras, CLIP_S))
        self._numbers = count(1)

    def take(self) -> np.ndarray:
        """The next frame."""
        return next(self._frames)

    def encoded(self, tokens_VD: torch.Tensor) -> EncodedFrame[torch.Tensor]:
        """The frame that was taken last, encoded."""
        number = next(self._numbers)
        return EncodedFrame(FrameNumber(number), (number - 1) * NS_PER_S, tokens_VD)


@dataclass(frozen=True)
class Round:
    """What one round cost, in seconds, and what it brought.

    Attributes:
        vision_s: pixels and encoder.
        forward_s: `Runner.forward`: the language model over all chunks, and the scores.
        total_s: all of it; what is left is planning, judging and committing.
        cpu_s: processor time of all of it; less than `total_s` when other processes had the core meanwhile.
        decided: frames decided.
        spoke: of them, those that a new caption was generated for.
        rows: token rows fed.
    """

    vision_s: float
    forward_s: float
    total_s: float
    cpu_s: float
    decided: int
    spoke: int
    rows: int


class Bench:
    """Streams over one engine, fed as fast as they take frames."""

    def __init__(self, model: LoadedModel, cameras: list[Camera], settings: StreamSettings) -> None:
        self._model, self._cameras = model, cameras
        engine_settings = EngineSettings()
        pages = len(cameras) * (settings.max_rows // engine_settings.page_size + 1)
        self.engine = Engine.of(model, EngineSettings(num_pages=pages))
        self._forward_s = 0.0
        self._time_forward()
        for camera in cameras:
            self.engine.open_stream(camera.stream, settings)

    def rounds(self, seconds: float) -> list[Round]:
        """Rounds for this long."""
        done, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end:
            done.append(self.round())
        return done

    def fill(self) -> None:
        """Watches until the memory of every stream has forgotten something."""
        forgotten = {camera.stream: False for camera in self._cameras}
        sizes = dict.fromkeys(forgotten, 0)
        while not all(forgotten.values()):
            self.round()
            for stream, size in sizes.items():
                sizes[stream] = self.engine.stream(stream).state.trunk.num_tokens
                forgotten[stream] |= sizes[stream] < size

    def round(self) -> Round:
        """One turn of the loop; see the module."""
        self._forward_s, rows_before = 0.0, self.engine.runner.tokens_fed
        start, cpu_start = time.perf_counter(), time.process_time()
        hungry = [camera for camera in self._cameras if not self.engine.stream(camera.stream).inbox]
        if hungry:
            tokens_BVD = self._model.see([camera.take() for camera in hungry])
        seen = time.perf_counter()
        for camera, tokens_VD in zip(hungry, tokens_BVD if hungry else (), strict=True):
            self.engine.submit_frame(camera.stream, camera.encoded(tokens_VD))
        events = self.engine.step()
        end = time.perf_counter()
        if failed := [event.error for event in events if isinstance(event, StreamFailed)]:
            raise failed[0]
        actions = [event.action for event in events if isinstance(event, Decision)]
        return Round(
            vision_s=seen - start,
            forward_s=self._forward_s,
            total_s=end - start,
            cpu_s=time.process_time() - cpu_start,
            decided=len(actions),
            spoke=actions.count(Action.SPEAK),
            rows=self.engine.runner.tokens_fed - rows_before,
        )

    def _time_forward(self) -> None:
        """Lets the runner's passes add up in `_forward_s`."""
        forward = self.engine.runner.forward

        def timed(chunks):
            start = time.perf_counter()
            scores = forward(chunks)
            self._forward_s += time.perf_counter() - start
            return scores

        self.engine.runner.forward = timed


def per_four_ms(rounds: list[Round], frames: int) -> dict[str, float]:
    """Percentiles of the milliseconds from one multiple of `frames` decisions to the next."""
    took, decided, seconds = [], 0, 0.0
    for one in rounds:
        decided, seconds = decided + one.decided, seconds + one.total_s
        if decided >= frames:
            took.append(1000 * seconds * frames / decided)
            decided, seconds = 0, 0.0
    return {f"p{p}": round(float(np.percentile(took, p)), 1) for p in (50, 95, 99)} if took else {}


def cost(rounds: list[Round], num_streams: int) -> dict[str, Any]:
    """Frames a second, and where a frame's time goes."""
    decided = sum(one.decided for one in rounds)
    seconds = {
        "vision": sum(one.vision_s for one in rounds),
        "language_pass": sum(one.forward_s for one in rounds),
        "total": sum(one.total_s for one in rounds),
    }
    seconds["engine_python"] = seconds["total"] - seconds["vision"] - seconds["language_pass"]
    return {
        "frames": decided,
        "frames_per_s": round(decided / seconds["total"], 1),
        "frames_per_cpu_s": round(decided / sum(one.cpu_s for one in rounds), 1),
        "rows_fed_per_frame": round(sum(one.rows for one in rounds) / decided, 1),
        "ms_per_frame": {name: round(1000 * value / decided, 2) for name, value in seconds.items()},
        f"ms_per_{num_streams}_frames": per_four_ms(rounds, num_streams),
    }


def decisions(model: LoadedModel, frames: Sequence[np.ndarray], settings: StreamSettings) -> list[Decision]:
    """What one stream decides about a clip, frame by frame."""
    engine = Engine.of(model, EngineSettings(num_pages=settings.max_rows // 16 + 2))
    stream = StreamId("clip")
    engine.open_stream(stream, settings)
    decided: list[Decision] = []
    for number, rgb in enumerate(frames, start=1):
        tokens_VD = model.see([rgb])[0]
        engine.submit_frame(stream, EncodedFrame(FrameNumber(number), (number - 1) * NS_PER_S, tokens_VD))
        decided += [event for event in engine.run_until_idle() if isinstance(event, Decision)]
    return decided


def compare_dtypes(folder: Path, settings: StreamSettings, num_clips: int, seconds: int) -> dict[str, object]:
    """Whole clips in float32 and in bfloat16. From the first difference on the two hold different captions."""
    models = [LoadedModel.from_directory(folder, dtype=dtype) for dtype in DTYPES.values()]
    same_action: list[bool] = []
    same_caption: list[bool] = []
    speaks, identical, nll_differences = [0, 0], 0, []
    for index in range(num_clips):
        frames = video(index, seconds, seed=100)
        pairs = list(zip(*(decisions(model, frames, settings) for model in models), strict=True))
        same_action += [a.action is b.action for a, b in pairs]
        captions = [a.token_ids == b.token_ids for a, b in pairs]
        same_caption += captions
        identical += all(captions) and all(a.action is b.action for a, b in pairs)
        for k in (0, 1):
            speaks[k] += sum(pair[k].action is Action.SPEAK for pair in pairs)
        nll_differences += [abs(a.nll - b.nll) for (a, b), same in zip(pairs, captions, strict=True) if same]
    return {
        "clips": num_clips,
        "seconds": seconds,
        "frames": len(same_action),
        "equal_actions": round(float(np.mean(same_action)), 4),
        "equal_held_captions": round(float(np.mean(same_caption)), 4),
        "identical_clips": identical,
        "spoken": dict(zip(DTYPES, speaks, strict=True)),
        "abs_nll_difference_p50_p95": [
            round(float(np.nanquantile(nll_differences, q)), 5) for q in (0.5, 0.95)
        ],
    }


def measure(
    model: LoadedModel, cameras: list[Camera], settings: StreamSettings, seconds: float
) -> list[Round]:
    """Rounds of streams whose memory is full."""
    bench = Bench(model, cameras, settings)
    bench.fill()
    rounds = bench.rounds(seconds)
    bench.engine.check_integrity()
    return rounds


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", type=Path, default=Path(__file__).resolve().parents[2] / "models" / "livestar-nano")
    add("--streams", type=int, default=4)
    add("--dtype", choices=DTYPES, default="bfloat16")
    add("--seconds", type=float, default=30.0, help="how long to measure")
    add("--max-trunk-tokens", type=int, help="what every stream remembers [default: the model's]")
    add("--compare-dtypes", action="store_true", help="also watch clips in both dtypes and compare decisions")
    add("--clips", type=int, default=16, help="clips to compare")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    recommended = Recommended.of(options.model)
    settings = StreamSettings(
        gate=GateSettings(recommended.alpha),
        max_trunk_tokens=options.max_trunk_tokens or recommended.max_trunk_tokens,
        max_channels=0,
        max_open_questions=0,
    )
    model = LoadedModel.from_directory(options.model, dtype=DTYPES[options.dtype])
    cameras = [Camera(k, options.streams) for k in range(options.streams)]
    rounds = measure(model, cameras, settings, options.seconds)
    deaf = replace(settings, gate=GateSettings(alpha=NEVER))
    silent = measure(model, cameras, deaf, options.seconds / 2)
    overall = cost(rounds, options.streams)
    report = {
        "bench": "nano_speed",
        "model": options.model.name,
        "dtype": options.dtype,
        "streams": options.streams,
        "max_trunk_tokens": settings.max_trunk_tokens,
        "alpha": recommended.alpha,
        "cpus": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 1),
        "overall": overall,
        "while_silent": cost(silent, options.streams),
        "spoken_share": round(sum(one.spoke for one in rounds) / sum(one.decided for one in rounds), 4),
        **environment(),
    }
    if options.compare_dtypes:
        report["bfloat16_against_float32"] = compare_dtypes(options.model, settings, options.clips, 60)
    print(json.dumps(report, indent=1))
    return 0 if overall["frames_per_cpu_s"] >= TARGET_FPS else 1


if __name__ == "__main__":
    sys.exit(main())
