"""Loading: complete and exact, or one sentence that says what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from fakes.checkpoint import corpus, tiny_config, write_tiny_checkpoint
from livestar.core.errors import CheckpointError
from livestar.model import (
    LiveStarModel,
    Tokenizer,
    check_tensors,
    expected_tensors,
    load_model,
    write_random_checkpoint,
    write_tokenizer,
)

pytestmark = pytest.mark.unit

OUTPUT = "language_model.output.weight"
Weights = dict[str, torch.Tensor]


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


def _rewrite(folder: Path, change: Callable[[Weights], object]) -> None:
    weights = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _same(a: LiveStarModel, b: LiveStarModel) -> bool:
    return all(torch.equal(x, b.state_dict()[name]) for name, x in a.state_dict().items())


def _add_extra(weights: Weights) -> None:
    weights["vision_model.norm.weight"] = torch.ones(3)


def _misshape(weights: Weights) -> None:
    weights[OUTPUT] = weights[OUTPUT][:, :-1].contiguous()


@pytest.mark.parametrize("load", [load_model, LiveStarModel.from_pretrained, AutoModel.from_pretrained])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda weights: weights.pop(OUTPUT), f"missing {OUTPUT}"),
        (_add_extra, "extra vision_model.norm.weight"),
        (_misshape, rf"mis-shaped {OUTPUT} \(is \[512, 47\], must be \[512, 48\]\)"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(
    folder: Path, load: Callable[..., object], change: Callable[[Weights], object], says: str
) -> None:
    _rewrite(folder, change)
    with pytest.raises(CheckpointError, match=says):
        load(folder)


def test_all_kinds_share_one_sentence_and_long_lists_are_counted() -> None:
    found = dict(expected_tensors(tiny_config()))
    gone = sorted(found)[:8]
    for name in gone:
        del found[name]
    found |= {"extra.tensor": (2,), OUTPUT: (1, 1)}
    with pytest.raises(CheckpointError) as caught:
        check_tensors(tiny_config(), found)
    message = str(caught.value)
    assert all(name in message for name in gone[:5])
    assert gone[5] not in message
    assert "and 3 more; extra extra.tensor; mis-shaped " in message
    assert message.count(". ") == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shard_size", ["1GB", "100KB"])
def test_saving_and_loading_change_nothing(
    tiny_checkpoint: Path, tmp_path: Path, dtype: torch.dtype, shard_size: str
) -> None:
    model = load_model(tiny_checkpoint, dtype=dtype)
    model.save_pretrained(tmp_path, max_shard_size=shard_size)
    assert (tmp_path / "model.safetensors.index.json").exists() == (shard_size == "100KB")
    for again in (load_model(tmp_path, dtype=dtype), LiveStarModel.from_pretrained(tmp_path)):
        assert again.dtype == dtype
        assert not again.training
        assert _same(model, again)


def test_each_weight_is_cast_once_and_directly(tiny_checkpoint: Path) -> None:
    stored = load_file(tiny_checkpoint / "model.safetensors")
    loaded = load_model(tiny_checkpoint, dtype=torch.bfloat16).state_dict()
    assert all(torch.equal(tensor.to(torch.bfloat16), loaded[name]) for name, tensor in stored.items())


def test_small_bf16_weights_survive(folder: Path) -> None:
    tiny = torch.tensor(1e-30, dtype=torch.bfloat16)
    _rewrite(folder, lambda weights: weights[OUTPUT].fill_(tiny))
    weight = load_model(folder, dtype=torch.bfloat16).language_model.output.weight
    assert bool((weight == tiny).all())


def test_half_precision_is_refused(tiny_checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="bfloat16"):
        load_model(tiny_checkpoint, dtype=torch.float16)


def test_our_class_wins_over_remote_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "theirs.Config", "AutoModel": "theirs.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    assert type(AutoModel.from_pretrained(folder)) is LiveStarModel


def _without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _truncated(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def _empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def _broken_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text("{")


def _empty_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text("{}")


def _index_of_absent_shard(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}'
    )


@pytest.mark.parametrize("load", [load_model, LiveStarModel.from_pretrained])
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_without_weights, "holds no weights"),
        (_truncated, "damaged or truncated"),
        (_empty, "damaged or truncated"),
        (_broken_index, "no valid JSON"),
        (_empty_index, "weight_map"),
        (_index_of_absent_shard, "model-00001-of-00002"),
    ],
)
def test_a_damaged_folder_is_one_sentence(
    folder: Path, load: Callable[..., object], damage: Callable[[Path], None], says: str
) -> None:
    damage(folder)
    with pytest.raises(CheckpointError, match=says) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_nothing_is_downloaded() -> None:
    for load in (load_model, LiveStarModel.from_pretrained):
        with pytest.raises(CheckpointError, match="not a folder"):
            load("some-organisation/some-model")


def test_the_seed_decides_the_random_weights(tiny_checkpoint: Path, tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    same, other = (write_tiny_checkpoint(tmp_path / str(seed), seed=seed) for seed in (0, 1))
    assert torch.equal(state, torch.random.get_rng_state())
    assert _same(load_model(tiny_checkpoint), load_model(same))
    assert not _same(load_model(tiny_checkpoint), load_model(other))


def test_a_random_checkpoint_takes_over_a_tokenizer(tiny_checkpoint: Path, tmp_path: Path) -> None:
    written = write_random_checkpoint(
        tmp_path / "copy", config=tiny_config(), tokenizer_dir=tiny_checkpoint, dtype=torch.bfloat16
    )
    for name in ("tokenizer.model", "tokenizer_config.json", "livestar.json"):
        assert (written / name).read_bytes() == (tiny_checkpoint / name).read_bytes()
    assert json.loads((written / "config.json").read_text())["torch_dtype"] == "bfloat16"
    assert LiveStarModel.from_pretrained(written).dtype == torch.bfloat16


def test_a_random_checkpoint_refuses_what_cannot_fit(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="either"):
        write_random_checkpoint(tmp_path, config=tiny_config())
    with pytest.raises(ValueError, match="corpus"):
        write_tokenizer(tmp_path, ["too little"], 4096)
    with pytest.raises(CheckpointError, match="tokenizer"):
        write_random_checkpoint(tmp_path, config=tiny_config(), tokenizer_dir=tmp_path / "absent")
    config = tiny_config()
    config.img_context_token_id = 7
    with pytest.raises(CheckpointError, match="IMG_CONTEXT"):
        write_random_checkpoint(tmp_path, config=config, corpus=corpus())
    config.llm_config.vocab_size = 500
    with pytest.raises(CheckpointError, match="500 rows"):
        Tokenizer.from_directory(tiny_checkpoint).check_fits(config)
