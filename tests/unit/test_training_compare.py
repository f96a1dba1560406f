from __future__ import annotations

import json
import math
from collections.abc import Callable
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from livestar.core.errors import InvalidInput
from livestar.model import ChatTemplate, LiveStarModel, Tokenizer, load_model, random_model
from livestar.training import compare
from livestar.training.batch import NETWORK_INPUTS, Batch, Collate
from livestar.training.compare_data import CompareCollate, ComparedBatch, ComparedWindows
from livestar.training.compare_journal import Stopwatch
from livestar.training.compare_learner import Learner, read
from livestar.training.flex_attend import FlexAttend
from livestar.training.methods import HEAD_IDS, METHODS, chosen
from livestar.training.network import TrainingNetwork
from livestar.training.synthstar_dataset import ClipSource, Stream
from livestar.training.synthstar_windows import WindowSettings

pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore")]

NAMES = [name for name in METHODS if name != "scam-jitter"]
WINDOWS = WindowSettings(num_frames=4, thinned=0.0, min_seconds=20, max_seconds=30)


@pytest.fixture(scope="module")
def network(tiny_checkpoint: Path) -> LiveStarModel:
    return load_model(tiny_checkpoint, dtype=torch.float32)


@pytest.fixture(scope="module")
def batch(tiny_checkpoint: Path) -> ComparedBatch:
    tokenizer = Tokenizer.from_directory(tiny_checkpoint)
    methods = chosen(NAMES)
    windows = ComparedWindows(
        methods,
        ChatTemplate.from_directory(tiny_checkpoint),
        512,
        ClipSource(("court", "weather"), size=64),
        WINDOWS,
        Stream(2),
    )
    collate = CompareCollate(methods, Collate(tokenizer.img_context_id, tokenizer.im_end_id, 512))
    found: ComparedBatch = next(iter(DataLoader(windows, 2, collate_fn=collate)))
    return found


@pytest.fixture(scope="module")
def seen(network: LiveStarModel, batch: ComparedBatch) -> torch.Tensor:
    with torch.no_grad():
        return TrainingNetwork(network).look(batch["frames_FHW3"]).flatten(0, 1)


def learner(network: LiveStarModel, name: str, **options: Any) -> Learner:
    language = deepcopy(network.language_model).requires_grad_()
    return Learner(METHODS[name], language, lr=1e-3, weight_decay=0.05, **options)


@pytest.mark.parametrize("name", NAMES)
def test_shared_vision_gives_the_loss_that_training_alone_gives(
    name: str, network: LiveStarModel, batch: ComparedBatch, seen: torch.Tensor
) -> None:
    mine: Batch = batch["methods"][name]
    alone = TrainingNetwork(network)(
        **{key: batch["frames_FHW3"] if key == "frames_FHW3" else mine[key] for key in NETWORK_INPUTS}
    )
    losses = learner(network, name).losses(mine, seen)
    is_decision = mine["is_decision_S"]
    assert float(losses.caption) == pytest.approx(float(alone.nll_S[~is_decision].mean()), abs=1e-5)
    if name == "head":
        assert float(losses.loss) == pytest.approx(float(losses.caption + losses.decision))
    else:
        assert float(losses.loss) == pytest.approx(float(alone.nll_S.mean()), abs=1e-5)
    assert math.isnan(float(losses.decision)) == (name not in ("eos", "head"))


def test_the_head_is_two_rows_of_the_vocabulary_with_a_weight(
    network: LiveStarModel, batch: ComparedBatch, seen: torch.Tensor
) -> None:
    one, mine = learner(network, "head"), batch["methods"]["head"]
    hidden = one._hidden(mine, seen).flatten(0, 1)[mine["decision_rows_D"]]
    logits = network.score(hidden)[:, [HEAD_IDS.silent, HEAD_IDS.speak]]
    weight = torch.tensor([1.0, METHODS["head"].speak_weight or 0.0])
    expected = torch.nn.functional.cross_entropy(logits, mine["decisions_D"], weight)
    assert 0 < int(mine["decisions_D"].sum()) < len(mine["decisions_D"])
    assert float(one.losses(mine, seen).decision) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_steps_lower_the_loss(
    name: str, network: LiveStarModel, batch: ComparedBatch, seen: torch.Tensor
) -> None:
    one = learner(network, name)
    found = [one.step(batch["methods"][name], seen, 1.0) for _ in range(4)]
    assert float(found[-1][0]) < float(found[0][0]) - 0.1
    still = learner(network, name)
    before = deepcopy(still.language.state_dict())
    still.step(batch["methods"][name], seen, 0.0)
    assert all(torch.equal(before[key], value) for key, value in still.language.state_dict().items())


def test_one_compiled_function_serves_all_models(network: LiveStarModel, batch: ComparedBatch) -> None:
    graphs = 0

    def count(graph: torch.fx.GraphModule, _: object) -> Callable[..., Any]:
        nonlocal graphs
        graphs += 1
        return graph.forward

    torch._dynamo.reset()
    compiled = torch.compile(read, dynamic=False, backend=count)
    for name in NAMES:
        mine = batch["methods"][name]
        language = deepcopy(network.language_model).train().requires_grad_(requires_grad=False)
        x_BTD = language.model.tok_embeddings(mine["ids_BT"])
        compiled(language, x_BTD, mine["positions_BT"], FlexAttend(mine["vis_until_BT"]))
    assert graphs == 1


def test_a_run_leaves_a_checkpoint_a_method_that_shares_vision(tiny_checkpoint: Path, tmp_path: Path) -> None:
    arguments = [
        "--init", str(tiny_checkpoint), "--out", str(tmp_path), "--methods", *NAMES, "--max-steps", "3",
        "--minutes", "5", "--batch-size", "2", "--num-frames", "4", "--max-tokens", "512", "--workers", "0",
        "--families", "court", "weather", "--log-every", "1", "--device", "cpu", "--warmup", "0", "--seed", "3",
    ]  # fmt: skip
    compare.main(arguments)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert list(lines[0]["losses"]) == NAMES
    eyes, first = load_model(tiny_checkpoint), random_model(load_model(tiny_checkpoint).config, 3)
    outputs = []
    for name in NAMES:
        described = json.loads((tmp_path / name / compare.METHOD_FILE).read_text())
        assert (described["method"], described["steps"], described["seed"]) == (name, 3, 3)
        trained = load_model(tmp_path / name, dtype=torch.float32)
        for ours, theirs in ((trained.vision_model, eyes.vision_model), (trained.mlp1, eyes.mlp1)):
            pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
            assert all(torch.equal(a, b.bfloat16().float()) for a, b in pairs)
        weight = trained.language_model.output.weight
        assert not torch.allclose(weight, first.language_model.output.weight, atol=1e-4)
        assert torch.allclose(weight, first.language_model.output.weight, atol=0.03)
        ChatTemplate.from_directory(tmp_path / name)
        outputs.append(weight)
    assert not any(torch.equal(a, b) for a, b in zip(outputs, islice(outputs, 1, None), strict=False))


def test_methods_begin_with_the_same_loss(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """scam-paper and scam-released differ in the mask only; before the first step their weights are equal."""
    names = ["scam-paper", "scam-released", "eos", "head"]
    arguments = [
        "--init", str(tiny_checkpoint), "--out", str(tmp_path), "--methods", *names, "--max-steps", "1",
        "--batch-size", "2", "--num-frames", "4", "--max-tokens", "512", "--workers", "0", "--warm",
        "--families", "court", "--device", "cpu",
    ]  # fmt: skip
    compare.main(arguments)
    losses = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])["losses"]
    # The same sequences, so the same captions' losses: a decision is a label more, or a head's.
    assert losses["eos"]["caption"] == pytest.approx(losses["head"]["caption"], abs=1e-4)
    warm = load_model(tiny_checkpoint).language_model.output.weight
    trained = load_model(tmp_path / "eos").language_model.output.weight
    assert torch.allclose(warm.bfloat16().float(), trained.float(), atol=1e-6)  # the first rate is zero


def test_options_that_cannot_work_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    base = ["--init", str(tiny_checkpoint), "--out", str(tmp_path), "--device", "cpu"]
    with pytest.raises(InvalidInput, match="multiple of 128"):
        compare.main([*base, "--max-tokens", "500"])
    with pytest.raises(InvalidInput, match="no method"):
        compare.main([*base, "--methods", "sos"])


def test_the_stopwatch_goes_by_minutes_or_steps() -> None:
    watch = Stopwatch(60.0, max_steps=10, warmup=0.0, began_s=compare.time.monotonic())
    assert (watch.rate, watch.is_over) == (1.0, False)
    for _ in range(5):
        watch.stepped()
    assert watch.rate == pytest.approx(0.5, abs=1e-3)
    for _ in range(5):
        watch.stepped()
    assert watch.is_over
    late = Stopwatch(1.0, max_steps=None, warmup=0.0, began_s=compare.time.monotonic() - 61)
    assert late.is_over
