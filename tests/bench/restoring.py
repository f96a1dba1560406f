"""What a move to another engine costs: a stream is saved and restored as it runs, beside one that is not.

Every `--every` frames the stream is saved and restored in a new engine, which is brought up to date by one prefill; both then
watch the next frame, and the copy is dropped. Prints one JSON object: |difference| of the narration's NLL at that frame in nats
per token, next to the gate's margin, the share of frames at which both decided the same, tokens in the trunk, and seconds from
snapshot to a cache that is ready. Before anything is forgotten the difference is rounding; afterwards the copy's trunk is a clean
recompute, and the stream that ran on has rows that could see what is gone, unless it recomputes them itself.

    python tests/bench/restoring.py [--model DIR] [--frames 120] [--max-trunk-tokens 640]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.environment import environment
from bench.forgetting import Frames, parking_lot, random_scenes, summary
from fakes.checkpoint import write_tiny_checkpoint
from fakes.engine import STREAM, TinyNetwork, run
from livestar.core.decision import Decision
from livestar.engine import Engine, GateSettings, Mode, StreamSettings
from livestar.kv import PositionPolicy


@dataclass(frozen=True)
class Move:
    """One restored copy at the frame after it was saved."""

    nll_difference: float
    same_decision: bool
    num_tokens: int
    seconds: float


def moves(
    network: TinyNetwork, settings: StreamSettings, frames: Frames, num_frames: int, every: int
) -> list[Move]:
    engine = network.engine()
    engine.open_stream(STREAM, settings)
    found = []
    for number in range(1, num_frames + 1):
        copy = None
        if number > 1 and number % every == 0:
            copy = network.engine()
            begun = time.perf_counter()
            copy.restore(engine.snapshot(STREAM))
            run(copy, check=False)
            seconds = time.perf_counter() - begun
            num_tokens = copy.stream(STREAM).state.trunk.num_tokens
        decision = decide(engine, frames, number)
        if copy:
            again = decide(copy, frames, number)
            same = (decision.action, decision.token_ids) == (again.action, again.token_ids)
            found.append(Move(again.nll - decision.nll, same, num_tokens, seconds))
    return found


def decide(engine: Engine, frames: Frames, number: int) -> Decision:
    engine.submit_frame(STREAM, frames(number))
    [decision] = [event for event in run(engine) if isinstance(event, Decision)]
    return decision


def report_of(found: list[Move]) -> dict[str, object]:
    slowest = max(found, key=lambda move: move.seconds)
    return {
        "moves": len(found),
        "abs_nll_difference": summary(np.array([move.nll_difference for move in found])),
        "same_decision": sum(move.same_decision for move in found) / len(found),
        "slowest_s": slowest.seconds,
        "tokens_of_the_slowest": slowest.num_tokens,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model",
        type=Path,
        help="checkpoint folder, shown a SynthStar clip; a tiny random network when absent",
    )
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--max-trunk-tokens", type=int, default=640)
    parser.add_argument("--alpha", type=float, help="1.07, what livestar-nano asks for, or 6 without a model")
    options = parser.parse_args()
    alpha = options.alpha or (1.07 if options.model else 6.0)
    torch.set_num_threads(1)
    rows = {}
    with tempfile.TemporaryDirectory() as directory:
        folder = options.model or write_tiny_checkpoint(Path(directory))
        network = TinyNetwork.load(folder, lively=options.model is None)
        frames = parking_lot(network, options.frames) if options.model else random_scenes(network)
        for mode in Mode:
            for name, limit, positions in (
                ("nothing forgotten", 12_000, PositionPolicy.CONTIGUOUS),
                ("gaps", options.max_trunk_tokens, PositionPolicy.GAPS),
                ("contiguous", options.max_trunk_tokens, PositionPolicy.CONTIGUOUS),
                ("recomputed", options.max_trunk_tokens, PositionPolicy.RECOMPUTED),
            ):
                settings = StreamSettings(
                    mode=mode,
                    gate=GateSettings(alpha=alpha),
                    max_caption_tokens=32,
                    max_trunk_tokens=limit,
                    positions=positions,
                )
                found = moves(network, settings, frames, options.frames, options.every)
                rows[f"{mode}, {name}"] = report_of(found)
    report = {
        "bench": "restoring",
        "model": str(options.model or "tiny random network"),
        "frames": options.frames,
        "max_trunk_tokens": options.max_trunk_tokens,
        "rows": rows,
        "gate_margin": math.log(alpha),
        **environment(),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
