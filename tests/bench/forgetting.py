"""What forgetting costs in likelihood: the cached trunk after deletions against a full recompute of what is left.

Rows that stay were computed while they could see what is gone, so neither position policy equals a recompute. After every
frame this script scores the held caption on the cached trunk, recomputes the trunk from its tokens at contiguous positions,
scores again, and puts the cache back. Prints one JSON object: mean, p95 and largest |difference| of the mean NLL in nats per
token, next to the gate's margin ln(1.03) = 0.0296.

    python tests/bench/forgetting.py [--model DIR] [--frames 80] [--max-trunk-tokens 640]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.environment import environment
from fakes.checkpoint import write_tiny_checkpoint
from fakes.engine import STREAM, TinyNetwork
from livestar.core.frame import EncodedFrame
from livestar.core.ids import FrameNumber
from livestar.engine import Engine, GateSettings, StreamSettings
from livestar.engine.gate import NS_PER_S
from livestar.engine.state import StreamState
from livestar.kv import Content, PositionPolicy
from livestar.model import LoadedModel
from livestar.synth import Split, make_clip

Frames = Callable[[int], EncodedFrame[torch.Tensor]]


def held_nll(engine: Engine, state: StreamState) -> float:
    """Mean NLL of the held caption on the trunk as it is cached now."""
    held = state.narration.held
    assert held is not None
    with state.trunk.branch() as branch:
        content = Content.text(state.template.assistant_open, held.ids)
        chunk = branch.extend(content, targets=(*held.ids, state.template.stop_id))
        return float(engine.runner.forward([chunk])[0].nll.mean())


@contextmanager
def recomputed(engine: Engine, state: StreamState) -> Iterator[None]:
    """Within: every row is computed anew from its tokens. Afterwards: the cache is as it was."""
    pool, trunk = engine.pool, state.trunk
    arrays = (pool.row_token, pool.row_position, pool.row_source)
    kept = [array.copy() for array in arrays]
    keys, values = pool.keys_LRKH.clone(), pool.values_LRKH.clone()
    positions = [segment.positions for segment in trunk.segments]
    trunk.invalidate()
    while chunk := trunk.take_staged(1024):
        engine.runner.forward([chunk])
    yield
    pool.keys_LRKH.copy_(keys)
    pool.values_LRKH.copy_(values)
    for array, old in zip(arrays, kept, strict=True):
        array[:] = old
    for segment, old_positions in zip(trunk.segments, positions, strict=True):
        segment.positions = old_positions


def random_scenes(network: TinyNetwork) -> Frames:
    return lambda number: network.frame(number, scene=number // 6)


def parking_lot(network: TinyNetwork, num_frames: int) -> Frames:
    clip = make_clip("parking", 5, num_frames + 1, Split.VAL)
    model = LoadedModel(network.model, network.tokenizer, network.template)

    def frame(number: int) -> EncodedFrame[torch.Tensor]:
        tokens = model.see([clip.render(number - 1)])[0]
        return EncodedFrame(FrameNumber(number), (number - 1) * NS_PER_S, tokens)

    return frame


def differences(
    network: TinyNetwork, settings: StreamSettings, frames: Frames, num_frames: int
) -> np.ndarray:
    """Cached minus recomputed NLL after every frame."""
    engine = network.engine()
    engine.open_stream(STREAM, settings)
    state = engine.stream(STREAM).state
    found = []
    for number in range(1, num_frames + 1):
        engine.submit_frame(STREAM, frames(number))
        for _ in engine.run_until_idle():
            pass
        cached = held_nll(engine, state)
        with recomputed(engine, state):
            found.append(cached - held_nll(engine, state))
        engine.check_integrity()
    return np.array(found)


def summary(found: np.ndarray) -> dict[str, float]:
    size = np.abs(found)
    return {
        "mean": float(size.mean()),
        "p95": float(np.quantile(size, 0.95)),
        "max": float(size.max()),
        "bias": float(found.mean()),
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
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--max-trunk-tokens", type=int, default=640)
    options = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as directory:
        folder = options.model or write_tiny_checkpoint(Path(directory))
        network = TinyNetwork.load(folder, lively=options.model is None)
        for name, limit, positions in (
            ("nothing forgotten", 12_000, PositionPolicy.CONTIGUOUS),
            ("gaps", options.max_trunk_tokens, PositionPolicy.GAPS),
            ("contiguous", options.max_trunk_tokens, PositionPolicy.CONTIGUOUS),
            ("recomputed", options.max_trunk_tokens, PositionPolicy.RECOMPUTED),
        ):
            settings = StreamSettings(
                gate=GateSettings(alpha=1e30, max_silence_s=6),
                max_caption_tokens=16,
                max_trunk_tokens=limit,
                positions=positions,
            )
            frames = parking_lot(network, options.frames) if options.model else random_scenes(network)
            rows[name] = summary(differences(network, settings, frames, options.frames))
    report = {
        "bench": "forgetting",
        "model": str(options.model or "tiny random network"),
        "frames": options.frames,
        "max_trunk_tokens": options.max_trunk_tokens,
        "abs_nll_difference": rows,
        "gate_margin": math.log(1.03),
        **environment(),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
