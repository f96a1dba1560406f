from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from livestar.model import ChatTemplate, Tokenizer, load_model
from livestar.synth import Split
from livestar.training.batch import NETWORK_INPUTS, Batch, Collate, ShownSample
from livestar.training.network import TrainingNetwork
from livestar.training.packing import Packer
from livestar.training.progress import Clock, Plan, Spent, warmed_cosine
from livestar.training.run import Data, Machine, Optimisation, Run, train
from livestar.training.synthstar_dataset import ClipSource, Stream, SynthStarWindows
from livestar.training.synthstar_windows import WindowSettings

pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore")]

WINDOWS = WindowSettings(num_frames=4, min_seconds=20, max_seconds=30)
FAMILIES = ("kitchen", "screen")


def windows(directory: Path, *, seed: int = 0, first_batch: int = 0, reuse: int = 1) -> SynthStarWindows:
    packer = Packer(ChatTemplate.from_directory(directory), max_tokens=640)
    source = ClipSource(FAMILIES, Split.TRAIN, size=64, reuse=reuse)
    return SynthStarWindows(packer, source, WINDOWS, Stream(2, seed=seed, first_batch=first_batch))


def batches(directory: Path, count: int, *, workers: int = 0, **options: int) -> list[Batch]:
    tokenizer = Tokenizer.from_directory(directory)
    collate = Collate(tokenizer.img_context_id, tokenizer.im_end_id, 640)
    loader = DataLoader(windows(directory, **options), 2, num_workers=workers, collate_fn=collate)
    return list(islice(loader, count))


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def run(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(
        out_dir=tmp_path_factory.mktemp("run"),
        plan=Plan(max_steps=6, warmup=0.0),
        init_from=tiny_checkpoint,
        log_every=1,
        eval_every=0,
        optimisation=Optimisation(lr=3e-3),
        data=Data(families=FAMILIES, windows=WINDOWS, max_tokens=640, batch_size=2, workers=0),
        machine=Machine(device="cpu"),
    )


def weights(run: Run) -> dict[str, torch.Tensor]:
    return dict(load_model(run.out_dir / "model").state_dict())


def losses(run: Run) -> list[float]:
    rows = map(json.loads, (run.out_dir / "metrics.jsonl").read_text().splitlines())
    return [row["loss"] for row in rows if "loss" in row]


@pytest.fixture(scope="module")
def trained(run: Run) -> Run:
    train(run)
    return run


def test_training_lowers_the_loss_and_leaves_a_checkpoint(trained):
    found = losses(trained)
    assert len(found) == 6
    assert found[-1] < found[0] - 0.5
    assert (trained.out_dir / "loss.png").stat().st_size > 1000
    ChatTemplate.from_directory(trained.out_dir / "model")


@pytest.mark.slow
def test_a_resumed_run_has_the_weights_of_an_unbroken_one(trained, tmp_path):
    first = replace(trained, out_dir=tmp_path / "a", plan=replace(trained.plan, minutes=0.0))
    train(first)
    assert len(losses(first)) == 1
    second = replace(trained, out_dir=tmp_path / "b", resume=first.out_dir)
    assert train(second)["steps"] == 6
    expected, found = weights(trained), weights(second)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert losses(first) + losses(second) == pytest.approx(losses(trained))


def test_the_same_seed_gives_the_same_windows_and_another_one_others(tiny_checkpoint):
    once, again = (batches(tiny_checkpoint, 2, seed=5) for _ in range(2))
    assert all(map(same, once, again))
    assert not same(once[0], once[1])
    assert not torch.equal(batches(tiny_checkpoint, 1, seed=6)[0]["frames_FHW3"], once[0]["frames_FHW3"])


def test_workers_share_the_row_of_windows_and_a_late_start_leaves_out_its_beginning(tiny_checkpoint):
    expected = batches(tiny_checkpoint, 5)
    assert all(map(same, batches(tiny_checkpoint, 4, workers=2), expected))
    assert all(map(same, batches(tiny_checkpoint, 2, workers=2, first_batch=3), expected[3:]))


def test_a_rendering_is_used_again_with_other_words(tiny_checkpoint):
    a, b, c = batches(tiny_checkpoint, 3, reuse=2)
    assert torch.equal(a["frames_FHW3"], b["frames_FHW3"])
    assert not torch.equal(a["ids_BT"], b["ids_BT"])
    assert not torch.equal(b["frames_FHW3"], c["frames_FHW3"])


@torch.no_grad()
def test_padding_and_neighbours_change_nothing(tiny_checkpoint):
    tokenizer = Tokenizer.from_directory(tiny_checkpoint)
    network = TrainingNetwork(load_model(tiny_checkpoint))
    samples: list[ShownSample] = list(islice(windows(tiny_checkpoint), 3))

    def scored(*chosen: ShownSample, num_tokens: int | None) -> torch.Tensor:
        batch = Collate(tokenizer.img_context_id, tokenizer.im_end_id, num_tokens)(chosen)
        return network(**{name: batch[name] for name in NETWORK_INPUTS}).nll_S

    alone = torch.cat([scored(sample, num_tokens=640) for sample in samples])
    torch.testing.assert_close(scored(*samples, num_tokens=1024), alone, atol=1e-4, rtol=1e-4)


def test_the_learning_rate_rises_falls_and_follows_the_minutes(monkeypatch):
    assert [round(warmed_cosine(x, 0.1), 3) for x in (0, 0.05, 0.1, 0.55, 1)] == [0, 0.5, 1, 0.5, 0]
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    clock = Clock(Plan(horizon_minutes=11, warmup=0.0), Spent(minutes=4, share=0.4))
    clock.on_train_begin()
    state = type("State", (), {"global_step": 0})()
    control = type("Control", (), {})()
    for minute in (0.5, 1.0, 4.0):
        now[0] = 60 * minute
        clock.on_step_end(None, state, control)
    assert clock.share(0) == pytest.approx(0.7)
    assert not hasattr(control, "should_training_stop")
    now[0] = 60 * 7
    clock.on_step_end(None, state, control)
    assert control.should_training_stop
    assert control.should_save
