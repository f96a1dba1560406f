"""Cost of a frame against the length of its stream: tokens fed and time at frame 16, 64, 256, 1024 and 3600.

One stream, a small random network on one thread, every frame encoded and watched, a caption of 32
tokens forced every 8 frames so that runs compare. At each mark the median over the frames around it is printed, silent and
speaking frames apart, and the whole frame cycle. Prints one JSON object; exits 1 when the cycle is not flat.

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

STREAM = StreamId("bench")
EVERY = 8
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
    return load_model(directory, dtype=torch.float32), tokenizer, ChatTemplate.from_directory(directory, tokenizer)


class OneStream:
    """Watches frames one by one and notes what each cost."""

    def __init__(self, directory: Path, settings: StreamSettings) -> None:
        self._model, tokenizer, template = network(directory)
        pages = settings.max_rows // 16 + 2
        self.engine = Engine(self._model, tokenizer, template, EngineSettings(num_pages=pages))
        self.engine.open_stream(STREAM, settings)
        self._rng = np.random.default_rng(0)

    def watch(self, number: int) -> Frame:
        pixels = self._rng.integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
        fed, start = self.engine.runner.tokens_fed, time.perf_counter()
        with torch.inference_mode():
            tokens = self._model.encode_images(to_pixels(pixels))[0]
        self.engine.submit_frame(STREAM, EncodedFrame(FrameNumber(number), (number - 1) * NS_PER_S, tokens))
        events = list(self.engine.run_until_idle())
        seconds = time.perf_counter() - start
        spoke = any(isinstance(e, Decision) and e.action is Action.SPEAK for e in events)
        return Frame(seconds, self.engine.runner.tokens_fed - fed, spoke)


def at_mark(frames: list[Frame], mark: int, window: int) -> dict[str, float]:
    near = frames[max(0, mark - window // 2) : mark + window // 2]
    silent, spoken = ([frame for frame in near if frame.spoke is spoke] for spoke in (False, True))
    seconds = {name: statistics.median(f.seconds for f in part) for name, part in (("silent", silent), ("spoken", spoken))}
    share = 1 / EVERY
    return {
        "frame": mark,
        "tokens_fed_silent": statistics.median(frame.tokens for frame in silent),
        "tokens_fed_spoken": statistics.median(frame.tokens for frame in spoken),
        "ms_silent": 1000 * seconds["silent"],
        "ms_spoken": 1000 * seconds["spoken"],
        "ms_per_frame": 1000 * ((1 - share) * seconds["silent"] + share * seconds["spoken"]),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=[*Mode], default=Mode.BRANCH)
    parser.add_argument("--max-trunk-tokens", type=int, default=512)
    parser.add_argument("--marks", type=int, nargs="+", default=[16, 64, 256, 1024, 3600])
    parser.add_argument("--window", type=int, default=32)
    parser.add_argument("--plot", type=Path, help="draw milliseconds against the frame number")
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
        stream = OneStream(Path(directory), settings)
        last = max(options.marks) + options.window // 2
        frames = [stream.watch(number) for number in range(1, last + 1)]
        stream.engine.check_integrity()
    rows = [at_mark(frames, mark, options.window) for mark in options.marks]
    cycle = [row["ms_per_frame"] for row in rows]
    spread = max(cycle) / min(cycle) - 1
    report = {
        "bench": "stream_length",
        "mode": options.mode,
        "max_trunk_tokens": options.max_trunk_tokens,
        "rows": rows,
        "spread": spread,
        "flat": spread <= FLAT_WITHIN,
        **environment(),
    }
    print(json.dumps(report, indent=1))
    if options.plot:
        draw(options.plot, frames)
    return 0 if report["flat"] else 1


def draw(path: Path, frames: list[Frame]) -> None:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 3.5), layout="constrained")
    for spoke, label in ((False, "silent"), (True, "spoke")):
        points = [(n, 1000 * f.seconds) for n, f in enumerate(frames, start=1) if f.spoke is spoke]
        axes.plot(*zip(*points, strict=True), ".", markersize=2, label=label)
    axes.set(xlabel="frame", ylabel="ms", title="Cost of a frame against the length of its stream", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
