"""The training command over two processes, as it runs over two GPUs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from livestar.model import load_model

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TRAIN = (
    "--device cpu --family kitchen --num-frames 4 --max-tokens 640 --workers 0 --eval-every 0 --log-every 1 --seed 3"
    " --max-steps 2 --warmup 0 --lr 1e-3"
)


def train(
    checkpoint: Path, out: Path, *, processes: int, batch_size: int
) -> tuple[list[float], dict[str, torch.Tensor]]:
    launcher = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes), "-m"]
    command = [sys.executable, "-m", *launcher, "livestar.training.train", "--init-from", str(checkpoint)]
    options = [*TRAIN.split(), "--out", str(out), "--batch-size", str(batch_size)]
    subprocess.run(
        [*command, *options],
        check=True,
        capture_output=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    rows = map(json.loads, (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [row["loss"] for row in rows if "loss" in row], load_model(out / "model").state_dict()


def test_two_processes_learn_from_different_windows_and_leave_one_checkpoint(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    losses, weights = train(tiny_checkpoint, tmp_path / "two", processes=2, batch_size=2)
    alone, _ = train(tiny_checkpoint, tmp_path / "one", processes=1, batch_size=2)
    assert len(losses) == len(alone) == 2
    # The first loss is over both processes' windows, of which the first process sees half.
    assert losses[0] != pytest.approx(alone[0], abs=1e-6)
    assert losses[0] == pytest.approx(alone[0], rel=0.2)
    before = load_model(tiny_checkpoint).state_dict()
    assert any(not torch.equal(before[name], weights[name]) for name in before)
