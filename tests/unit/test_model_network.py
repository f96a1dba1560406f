"""The network against independent arithmetic, and the ways in that must agree."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from fakes.checkpoint import tiny_config
from livestar.core.errors import CheckpointError
from livestar.model import DenseAttend, LiveStarModel, apply_rotary, load_model, rotary_cos_sin, rotate_by
from livestar.model.initialize import random_model
from livestar.model.scoring import CHUNK_ROWS, score_rows

pytestmark = pytest.mark.unit

IMAGE = 511


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> LiveStarModel:
    return load_model(tiny_checkpoint)


def _ids(num_sequences: int, num_tokens: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, IMAGE, (num_sequences, num_tokens), generator=generator)


def _with_frames(num_tokens: int, starts: list[int]) -> torch.Tensor:
    ids = _ids(1, num_tokens)
    for start in starts:
        ids[0, start : start + 16] = IMAGE
    return ids


def _frames(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def _turn(vector: torch.Tensor, position: int, theta: float) -> torch.Tensor:
    """Rotary embedding of one head's vector, pair by pair."""
    half = len(vector) // 2
    turned = vector.clone()
    for i in range(half):
        angle = torch.tensor(position * theta ** (-2 * i / len(vector)))
        turned[i] = vector[i] * angle.cos() - vector[i + half] * angle.sin()
        turned[i + half] = vector[i + half] * angle.cos() + vector[i] * angle.sin()
    return turned


@torch.inference_mode()
def test_attention_is_interleaved_per_kv_group(model: LiveStarModel) -> None:
    """One layer's attention, head by head, from slices of the published [group][queries, key, value] layout."""
    attention = model.language_model.model.layers[0].attention
    x = torch.randn(9, 48, generator=torch.Generator().manual_seed(3))
    positions = torch.tensor([0, 1, 2, 3, 4, 9, 10, 11, 300])
    actual = attention(x, rotary_cos_sin(positions, 12, 1e6), DenseAttend())
    rows = attention.wqkv.weight.view(2, 4, 12, 48)
    heads = []
    for head in range(4):
        group, query = divmod(head, 2)
        q, k = (
            torch.stack(
                [_turn(rows[group, part] @ token, int(p), 1e6) for token, p in zip(x, positions, strict=True)]
            )
            for part in (query, 2)
        )
        v = x @ rows[group, 3].T
        scores = (q @ k.T / 12**0.5).masked_fill(~torch.ones(9, 9).tril().bool(), float("-inf"))
        heads.append(scores.softmax(-1) @ v)
    torch.testing.assert_close(actual, torch.cat(heads, dim=-1) @ attention.wo.weight.T, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_one_sequence_and_a_batch_agree(model: LiveStarModel) -> None:
    ids = _ids(3, 20)
    positions = torch.arange(20)
    batched = model.hidden_states(model.embed_tokens(ids), positions, DenseAttend())
    for row, hidden in zip(ids, batched, strict=True):
        alone = model.hidden_states(model.embed_tokens(row), positions, DenseAttend())
        torch.testing.assert_close(alone, hidden, atol=1e-5, rtol=1e-5)
        assert model.score(alone).shape == (20, 512)
    moved = model.hidden_states(model.embed_tokens(ids), positions.expand(3, -1) + 50, DenseAttend())
    torch.testing.assert_close(moved, batched, atol=1e-4, rtol=1e-4)


def test_rotating_again_moves_a_key() -> None:
    keys = torch.randn(5, 2, 12, generator=torch.Generator().manual_seed(4))
    positions, deltas = torch.tensor([3, 50, 700, 20_000, 31_000]), torch.tensor([-3, 7, 0, -19_000, 1_000])
    rotated = apply_rotary(keys, *rotary_cos_sin(positions, 12, 1e6))
    expected = apply_rotary(keys, *rotary_cos_sin(positions + deltas, 12, 1e6))
    torch.testing.assert_close(rotate_by(rotated, deltas, 1e6), expected, atol=3e-3, rtol=0)
    assert rotate_by(rotated.to(torch.bfloat16), deltas, 1e6).dtype == torch.bfloat16
    cos, sin = rotary_cos_sin(torch.tensor(32_767), 12, 1e6)
    assert cos.dtype == sin.dtype == torch.float32


@torch.inference_mode()
def test_visual_tokens_stand_where_the_placeholders_are(model: LiveStarModel) -> None:
    ids, pixels = _with_frames(60, [5, 30]), _frames(2)
    visual = model.encode_images(pixels)
    assert visual.shape == (2, 16, 48)
    x = model.embed_tokens(ids)[0]
    x[5:21], x[30:46] = visual[0], visual[1]
    expected = model.score(model.hidden_states(x, torch.arange(60), DenseAttend()))
    torch.testing.assert_close(model(ids, pixel_values=pixels).logits[0], expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model(ids, visual_tokens=visual).logits[0], expected, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_frame_is_encoded_the_same_alone_and_in_a_batch(model: LiveStarModel) -> None:
    pixels = _frames(3)
    alone = torch.cat([model.encode_images(frame[None]) for frame in pixels])
    torch.testing.assert_close(model.encode_images(pixels), alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("starts", "frames"), [([5], 2), ([5, 30], 1), ([], 1)])
def test_placeholders_and_frames_must_match(model: LiveStarModel, starts: list[int], frames: int) -> None:
    with pytest.raises(ValueError, match=rf"{16 * len(starts)} image placeholders, but {16 * frames} visual"):
        model(_with_frames(60, starts), visual_tokens=torch.zeros(frames, 16, 48))


def test_placeholders_without_frames_are_refused(model: LiveStarModel) -> None:
    with pytest.raises(ValueError, match="16 image placeholders, but 0 visual"):
        model(_with_frames(60, [5]))


@pytest.mark.parametrize("shape", [(1, 3, 64, 63), (1, 1, 64, 64), (3, 64, 64)])
def test_frames_of_another_size_are_refused(model: LiveStarModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[B, 3, 64, 64\]"):
        model.encode_images(torch.zeros(shape))


@torch.inference_mode()
def test_loss_scores_the_labels_and_nothing_else(model: LiveStarModel) -> None:
    ids = _ids(2, 30)
    labels = torch.full_like(ids, -100)
    labels[0, 10:15], labels[1, 20], labels[1, 0] = ids[0, 10:15], ids[1, 20], 7
    out = model(ids, labels=labels)
    logits = model(ids).logits
    rows = torch.cat([logits[0, 9:14], logits[1, 19:20]])
    torch.testing.assert_close(out.logits, rows, atol=1e-5, rtol=1e-5)
    expected = F.cross_entropy(rows, torch.cat([ids[0, 10:15], ids[1, 20:21]]))
    torch.testing.assert_close(out.loss, expected, atol=1e-5, rtol=1e-5)
    assert float(model(ids, labels=torch.full_like(ids, -100)).loss) == 0.0


@torch.inference_mode()
@pytest.mark.parametrize("left", [True, False])
def test_padding_changes_nothing(model: LiveStarModel, left: bool) -> None:
    ids = _ids(1, 12)
    padding = torch.zeros(1, 5, dtype=torch.long)
    parts, kept = ((padding, ids), slice(5, None)) if left else ((ids, padding), slice(0, 12))
    padded = torch.cat(parts, dim=1)
    mask = torch.zeros(1, 17, dtype=torch.long)
    mask[:, kept] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    out = model(padded, attention_mask=mask, position_ids=positions).logits
    torch.testing.assert_close(out[:, kept], model(ids).logits, atol=1e-5, rtol=1e-5)
    assert bool(out.isfinite().all())


@torch.inference_mode()
def test_a_dense_mask_hides_what_it_hides(model: LiveStarModel) -> None:
    ids = _ids(2, 12)
    causal = torch.ones(1, 1, 12, 12).tril().bool()
    torch.testing.assert_close(
        model(ids, attention_mask=causal).logits, model(ids).logits, atol=1e-5, rtol=1e-5
    )
    hidden = causal.clone()
    hidden[..., 6:, 2:4] = False
    other = ids.clone()
    other[:, 2:4] = (ids[:, 2:4] + 1) % IMAGE
    out = [model(x, attention_mask=hidden).logits[:, 6:] for x in (ids, other)]
    assert not torch.equal(out[0], model(ids).logits[:, 6:])
    hidden[..., 4:6, 2:4] = False
    out = [model(x, attention_mask=hidden).logits[:, 4:] for x in (ids, other)]
    torch.testing.assert_close(out[0], out[1], atol=0, rtol=0)


@torch.inference_mode()
def test_bf16_weights_are_scored_in_float32() -> None:
    generator = torch.Generator().manual_seed(5)
    hidden = torch.randn(3, 64, generator=generator).to(torch.bfloat16)
    weight = torch.randn(CHUNK_ROWS + 100, 64, generator=generator).to(torch.bfloat16)
    logits = score_rows(hidden, weight)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, (hidden.double() @ weight.double().T).float(), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_does_not_round_the_logits(dtype: torch.dtype) -> None:
    hidden, weight = (
        torch.randn(n, 64, generator=torch.Generator().manual_seed(n)).to(dtype) for n in (3, 50)
    )
    with torch.autocast("cpu", torch.bfloat16):
        logits = score_rows(hidden, weight)
    torch.testing.assert_close(logits, (hidden.double() @ weight.double().T).float(), atol=1e-5, rtol=1e-5)


def test_a_bf16_model_stays_close(tiny_checkpoint: Path, model: LiveStarModel) -> None:
    rounded = load_model(tiny_checkpoint, dtype=torch.bfloat16)
    ids, pixels = _with_frames(40, [5]), _frames(1)
    with torch.inference_mode():
        visual = model.encode_images(pixels)
        assert rounded.encode_images(pixels).dtype == torch.bfloat16
        error = rounded(ids, visual_tokens=visual).logits - model(ids, visual_tokens=visual).logits
    assert float(error.abs().max()) < 0.2


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable:FutureWarning")
def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    ids, pixels = _with_frames(40, [5]), _frames(1)
    gradients = []
    for checkpointing in (False, True):
        model = random_model(tiny_config()).train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        labels = torch.where(ids == IMAGE, -100, ids)
        model(ids, pixel_values=pixels, labels=labels).loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        gradients.append([parameter.grad for parameter in model.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed, atol=1e-6, rtol=1e-4)


def test_an_unsupported_configuration_builds_no_model() -> None:
    config = tiny_config()
    config.ps_version = "v1"
    with pytest.raises(CheckpointError, match="ps_version"):
        LiveStarModel(config)


def test_the_embedding_tables_are_found(model: LiveStarModel) -> None:
    assert model.get_input_embeddings() is model.language_model.model.tok_embeddings
    assert model.get_output_embeddings() is model.language_model.output
