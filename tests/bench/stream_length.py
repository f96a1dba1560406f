"""Cost of a frame against the length of its stream: tokens fed and time at frame 16, 64, 256, 1024 and 3600.

One stream, a small random network on one thread, every frame encoded and watched, a caption of 32
tokens forced every 8 frames so that runs compare. From each mark on, cycles of the long stream alternate with cycles of a
young one that has just filled its memory; their ratio is what counts, because the machine is noisy. Prints one JSON object;
exits 1 when tokens or ratios are not flat within 10 %.

    python tests/bench/stream_length.py [--mode reference] [--max-trunk-tokens 512] [--plot out.png]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.environment import environment
from fakes.checkpoint import corpus
from livestar.core.decision import Action, Decision
from livestar.core.frame import EncodedFrame
from livestar.core.ids import FrameNumber, StreamId
from livestar.engine import Engine, EngineSettings, GateSettings, Mode, StreamSettings
from livestar.engine.gate import NS_PER_S
from livestar.model import (
    ChatTemplate,
    LanguageConfig,
    LiveStarConfig,
    LiveStarModel,
    Tokenizer,
    VisionConfig,
    load_model,
    to_pixels,
    write_random_checkpoint,
)

LONG, YOUNG = StreamId("long"), StreamId("young")
EVERY = 8
YOUNG_FRAMES = 2 * EVERY
CYCLES = 6
CAPTION_TOKENS = 32
FLAT_WITHIN = 0.10


@dataclass(frozen=True)
class Frame:
    """What one frame cost."""

    seconds: float
    tokens: int
    spoke: bool


def network(directory: Path) -> tuple[LiveStarModel, Tokenizer, ChatTemplate]:
    config = LiveStarConfig(
        vision_config=VisionConfig(
            image_size=224,
            patch_size=14,
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=3,
            num_attention_heads=4,
        ),
        llm_config=LanguageConfig(
            vocab_size=512,
            hidden_size=256,
            intermediate_size=688,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
        ),
        force_image_size=224,
        img_context_token_id=511,
    )
    write_random_checkpoint(directory, config=config, corpus=corpus(), dtype=torch.float32)
    tokenizer = Tokenizer.from_directory(directory)
    return (
        load_model(directory, dtype=torch.float32),
        tokenizer,
        ChatTemplate.from_directory(directory, tokenizer),
    )


class Bench:
    """Watches frames one by one and notes what each cost."""

    def __init__(self, directory: Path, settings: StreamSettings) -> None:
        self._model, tokenizer, template = network(directory)
        self._settings = settings
        pages = 2 * (settings.max_rows // 16 + 2)
        self.engine = Engine(self._model, tokenizer, template, EngineSettings(num_pages=pages))
        self._rng = np.random.default_rng(0)
        self._count: dict[StreamId, int] = {}

    def open(self, stream: StreamId) -> None:
        if stream in self._count:
            self.engine.close_stream(stream)
        self.engine.open_stream(stream, self._settings)
        self._count[stream] = 0

    def watch(self, stream: StreamId, num_frames: int) -> list[Frame]:
        return [self._watch(stream) for _ in range(num_frames)]

    def _watch(self, stream: StreamId) -> Frame:
        number = self._count[stream] = self._count[stream] + 1
        pixels = self._rng.integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
        fed, start = self.engine.runner.tokens_fed, time.perf_counter()
        with torch.inference_mode():
            tokens = self._model.encode_images(to_pixels(pixels))[0]
        self.engine.submit_frame(stream, EncodedFrame(FrameNumber(number), (number - 1) * NS_PER_S, tokens))
        events = list(self.engine.run_until_idle())
        seconds = time.perf_counter() - start
        spoke = any(isinstance(e, Decision) and e.action is Action.SPEAK for e in events)
        return Frame(seconds, self.engine.runner.tokens_fed - fed, spoke)

    def at_mark(self, mark: int) -> dict[str, float]:
        """Brings the long stream to the mark and compares it with a young one, cycle by cycle."""
        self.watch(LONG, mark - self._count[LONG])
        self.open(YOUNG)
        self.watch(YOUNG, YOUNG_FRAMES)
        pairs = [(self.watch(LONG, EVERY), self.watch(YOUNG, EVERY)) for _ in range(CYCLES)]
        frames = [frame for cycle, _ in pairs for frame in cycle]
        silent, spoken = ([f for f in frames if f.spoke is spoke] for spoke in (False, True))
        return {
            "frame": mark,
            "tokens_fed_silent": statistics.median(f.tokens for f in silent),
            "tokens_fed_spoken": statistics.median(f.tokens for f in spoken),
            "tokens_fed_per_frame": sum(f.tokens for f in frames) / len(frames),
            "ms_silent": 1000 * statistics.median(f.seconds for f in silent),
            "ms_spoken": 1000 * statistics.median(f.seconds for f in spoken),
            "ms_per_frame": 1000 * statistics.median(total(cycle) for cycle, _ in pairs) / EVERY,
            "time_against_young": statistics.median(total(old) / total(young) for old, young in pairs),
        }


def total(cycle: list[Frame]) -> float:
    return sum(frame.seconds for frame in cycle)


def spread(values: list[float]) -> float:
    return max(values) / min(values) - 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mode", choices=[*Mode], default=Mode.BRANCH)
    parser.add_argument("--max-trunk-tokens", type=int, default=512)
    parser.add_argument("--marks", type=int, nargs="+", default=[16, 64, 256, 1024, 3600])
    parser.add_argument("--plot", type=Path, help="draw milliseconds a frame against the frame number")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = StreamSettings(
        mode=Mode(options.mode),
        gate=GateSettings(alpha=1e30, max_silence_s=EVERY),
        max_caption_tokens=CAPTION_TOKENS,
        max_trunk_tokens=options.max_trunk_tokens,
        max_open_questions=0,
        max_channels=0,
    )
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory), settings)
        bench.open(LONG)
        bench.watch(LONG, YOUNG_FRAMES)
        bench.open(LONG)
        rows = [bench.at_mark(mark) for mark in options.marks]
        bench.engine.check_integrity()
    spreads = {
        name: spread([row[name] for row in rows]) for name in ("tokens_fed_per_frame", "time_against_young")
    }
    report = {
        "bench": "stream_length",
        "mode": options.mode,
        "max_trunk_tokens": options.max_trunk_tokens,
        "rows": rows,
        "spread": spreads,
        "flat": max(spreads.values()) <= FLAT_WITHIN,
        **environment(),
    }
    print(json.dumps(report, indent=1))
    if options.plot:
        draw(options.plot, rows)
    return 0 if report["flat"] else 1


def draw(path: Path, rows: list[dict[str, float]]) -> None:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
    marks = [row["frame"] for row in rows]
    for name in ("ms_silent", "ms_spoken", "ms_per_frame"):
        axes.plot(marks, [row[name] for row in rows], "o-", label=name)
    axes.set(xscale="log", xlabel="frame", ylabel="ms", ylim=(0, None))
    axes.set_title("Cost of a frame against the length of its stream")
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
