"""Other ways to train than nano's: OmniStar's conversations, adapters, frozen parts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from livestar.core.errors import BadAnnotation
from livestar.model import load_model
from livestar.training.progress import Plan
from livestar.training.run import Data, Machine, Optimisation, Run, train

pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore")]

LINEAR = (".wqkv.", ".wo.", ".w1.", ".w2.", ".w3.")


def write_conversations(folder: Path) -> Path:
    """Two videos of three frames each, in OmniStar's training form: the caption of its event behind every frame."""
    rng = np.random.default_rng(0)
    lines = []
    for video in range(2):
        names = [f"video-{video}/{n}.png" for n in range(3)]
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(folder / name)
        said = [
            "A red ball enters from the left.",
            "A red ball enters from the left.",
            "The small dog stops.",
        ]
        turns = [
            {"from": who, "value": value}
            for n, caption in enumerate(said, start=1)
            for who, value in (("human", f"Frame-{n}: <image>\n"), ("gpt", caption))
        ]
        row = {"id": video, "image": names, "height_list": [40] * 3, "width_list": [60] * 3}
        lines.append(json.dumps({**row, "conversations": turns}))
    path = folder / "train.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def run(tiny_checkpoint: Path, tmp_path: Path) -> Run:
    return Run(
        out_dir=tmp_path / "run",
        plan=Plan(max_steps=3, warmup=0.0),
        init_from=tiny_checkpoint,
        log_every=1,
        eval_every=0,
        optimisation=Optimisation(lr=3e-3),
        data=Data(omnistar=write_conversations(tmp_path), max_tokens=512, batch_size=2, workers=0),
        machine=Machine(device="cpu"),
    )


def changed(run: Run) -> set[str]:
    """Names of the weights that training moved by more than bfloat16 rounds."""
    assert run.init_from
    before = load_model(run.init_from, dtype=torch.float32).state_dict()
    after = load_model(run.out_dir / "model", dtype=torch.float32).state_dict()
    assert before.keys() == after.keys()
    return {name for name in before if not torch.allclose(before[name], after[name], atol=1e-5, rtol=2**-7)}


def losses(run: Run) -> list[float]:
    rows = map(json.loads, (run.out_dir / "metrics.jsonl").read_text().splitlines())
    return [row["loss"] for row in rows if "loss" in row]


def test_conversations_of_omnistar_are_learned(run: Run) -> None:
    train(run)
    found = losses(run)
    assert found[-1] < found[0] - 0.3
    assert any(name.startswith("vision_model") for name in changed(run))


def test_adapters_move_the_language_models_matrices_only_and_are_folded_in(run: Run) -> None:
    adapted = replace(run, optimisation=Optimisation(lr=3e-2, lora_rank=4))
    train(adapted)
    moved = changed(adapted)
    assert moved
    assert all(name.startswith("language_model.model.layers") for name in moved)
    assert all(any(part in name for part in LINEAR) for name in moved)
    assert losses(adapted)[-1] < losses(adapted)[0]


def test_frozen_parts_stay(run: Run) -> None:
    train(replace(run, optimisation=Optimisation(lr=3e-3, freeze=("vision", "projector"))))
    assert {name.split(".")[0] for name in changed(run)} == {"language_model"}


def test_a_line_that_is_no_dialogue_is_named(run: Run) -> None:
    assert run.data.omnistar
    with run.data.omnistar.open("a", encoding="utf-8") as file:
        file.write('{"image": ["a.png"], "conversations": []}\n')
    with pytest.raises(BadAnnotation, match=r"train.jsonl:3: .*1 images, but 0 <image>"):
        train(run)
