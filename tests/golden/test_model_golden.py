"""The network, the tokenizer and the template against vectors of the published reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoModel

from livestar.model import (
    ChatTemplate,
    DenseAttend,
    LiveStarConfig,
    LiveStarModel,
    StreamingDecoder,
    Tokenizer,
    expected_tensors,
    load_model,
    merge_tokens,
    pixel_shuffle,
    read_image,
    resize_frame,
    to_pixels,
)

pytestmark = pytest.mark.golden

TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def model(golden_dir: Path) -> LiveStarModel:
    return load_model(golden_dir)


@pytest.fixture(scope="module")
def tokenizer(golden_dir: Path) -> Tokenizer:
    return Tokenizer.from_directory(golden_dir)


@pytest.fixture(scope="module")
def pixels(golden_dir: Path) -> torch.Tensor:
    frames = [read_image(golden_dir / "frames" / name) for name in ("001.png", "002.png")]
    return to_pixels(np.stack([resize_frame(frame, 448) for frame in frames]))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=TOLERANCE, rtol=0)


def test_resizing_matches_to_the_byte(golden_dir: Path) -> None:
    resized = resize_frame(read_image(golden_dir / "large.png"), 448)
    assert np.array_equal(resized, read_image(golden_dir / "large_resized.png"))


@torch.inference_mode()
def test_every_stage_of_a_frame(golden_dir: Path, model: LiveStarModel, pixels: torch.Tensor) -> None:
    expected = load_file(golden_dir / "features.safetensors")
    _close(pixels, expected["pixel_values"])
    hidden = model.vision_model(pixels)
    _close(hidden, expected["vision_hidden"])
    shuffled = pixel_shuffle(hidden[:, 1:].unflatten(1, (32, 32)))
    _close(shuffled, expected["pixel_shuffled"])
    _close(merge_tokens(shuffled, 4), expected["merged_tokens"])
    _close(model.encode_images(pixels), expected["projected"])


@torch.inference_mode()
def test_logits_of_a_whole_sequence(golden_dir: Path, model: LiveStarModel, pixels: torch.Tensor) -> None:
    expected = load_file(golden_dir / "logits.safetensors")
    logits = model(expected["input_ids"], pixel_values=pixels).logits[0]
    _close(logits.logsumexp(-1), expected["logsumexp"])
    _close(logits.gather(1, expected["top8_ids"].long()), expected["top8_values"])
    _close(logits[-1], expected["logits_last"])


@torch.inference_mode()
def test_hugging_face_loading_gives_the_same_network(golden_dir: Path, model: LiveStarModel) -> None:
    loaded = AutoModel.from_pretrained(golden_dir, dtype=torch.float32)
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_the_published_checkpoint_would_be_accepted(golden_dir: Path) -> None:
    if not (golden_dir.parent / "livestar-8b-keys.json").exists():
        pytest.skip("the published key list does not lie beside the golden folder")
    keys = _json(golden_dir.parent / "livestar-8b-keys.json")
    tensors = expected_tensors(LiveStarConfig.from_dict(_json(golden_dir.parent / "livestar-8b-config.json")))
    assert sorted(tensors) == sorted(keys["keys"])
    assert sum(2 * int(np.prod(shape)) for shape in tensors.values()) == keys["total_size"]


def test_strings_encode_and_decode(golden_dir: Path, model: LiveStarModel, tokenizer: Tokenizer) -> None:
    tokenizer.check_fits(model.config)
    for case in _json(golden_dir / "tokenizer.json"):
        assert [tokenizer.bos_id, *tokenizer.encode_template(case["text"])] == case["ids"]
        assert tokenizer.decode(case["ids"]) == case["decoded"]
    dialogue = _json(golden_dir / "chat_template.json")
    assert [tokenizer.bos_id, *tokenizer.encode_template(dialogue["prompt"])] == dialogue["ids"]


def test_token_counts_are_the_published_ones(tokenizer: Tokenizer) -> None:
    template = ChatTemplate(tokenizer)
    assert (len(template.system), len(template.task_prompt), template.task_prompt[-1]) == (38, 55, 756)
    assert template.user_open == (92543, 1008, 364)
    assert template.assistant_open == (92543, 525, 11353, 364)
    assert template.turn_close == (92542, 364)
    assert all(len(template.frame_line(index)) == 24 for index in range(1, 1000))
    assert all(len(template.frame_line(index)) == 25 for index in (1000, 5432, 9999))
    assert template.frame_line(1)[:2] + template.frame_line(1)[3:] == (
        4529, 285, 334, 262, 92544, *[92546] * 16, 92545, 364,
    )  # fmt: skip


def test_blocks_add_up_to_the_published_sequences(golden_dir: Path, tokenizer: Tokenizer) -> None:
    template = ChatTemplate(tokenizer)

    def probe(history: tuple[int, ...], frame: int, held: tuple[int, ...]) -> list[int]:
        answer = (*template.turn_close, *template.assistant_open, *held, *template.turn_close)
        return [*history, *answer, *template.user_open, *template.frame_line(frame), *answer]

    for trace in _json(golden_dir / "sved_trace.json")["traces"]:
        first, *steps = trace["steps"]
        history = template.system + template.user_open + template.task_prompt + template.frame_line(1)
        held = template.text(first["answer"])
        assert probe(history, 1, held) == first["threshold_input_ids"]
        for step in steps:
            if "verify_input_ids" not in step:
                break
            assert probe(history, step["frame"], held) == step["verify_input_ids"]
            if step["decision"] == "respond":
                answer = (*template.turn_close, *template.assistant_open, *held, *template.turn_close)
                history += answer + template.user_open
                held = template.text(step["answer"])
            history += template.frame_line(step["frame"])


@torch.inference_mode()
def test_greedy_text_is_the_published_one(
    golden_dir: Path, model: LiveStarModel, pixels: torch.Tensor
) -> None:
    case = _json(golden_dir / "generation.json")
    prompt, expected = case["prompt_ids"], case["penalty_1.0"]
    generated = [token for token in expected if token != 1]
    ids = torch.tensor([prompt + generated[:-1]])
    logits = model(ids, pixel_values=pixels).logits[0, len(prompt) - 1 :]
    assert logits.argmax(-1).tolist() == generated


@given(
    text=st.lists(
        st.sampled_from(
            [
                "[UNUSED_TOKEN_146]",
                "[UNUSED_",
                "TOKEN_145]",
                "<|im_end|>",
                "<IMG_CONTEXT>",
                "</s>",
                "▁",
                "\x00",
            ]
        )
        | st.text(max_size=5),
        max_size=10,
    ).map("".join)
)
def test_nothing_from_outside_becomes_a_published_control_id(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode_text(text)
    assert not tokenizer.reserved_ids.intersection(ids)
    assert tokenizer.decode(ids) == text.replace("▁", " ")


@given(ids=st.lists(st.integers(0, 92559) | st.integers(3, 258), max_size=12))
def test_streaming_gives_the_published_text(tokenizer: Tokenizer, ids: list[int]) -> None:
    decoder = StreamingDecoder(tokenizer)
    assert "".join(map(decoder.push, ids)) + decoder.finish() == tokenizer.decode(ids)


@torch.inference_mode()
def test_an_attend_of_ones_own_sees_every_layer(model: LiveStarModel) -> None:
    layers: list[int] = []
    dense = DenseAttend()

    def attend(layer: int, q_TNH: torch.Tensor, k_TKH: torch.Tensor, v_TKH: torch.Tensor) -> torch.Tensor:
        layers.append(layer)
        assert (q_TNH.shape, k_TKH.shape, v_TKH.shape) == ((5, 4, 8), (5, 2, 8), (5, 2, 8))
        return dense(layer, q_TNH, k_TKH, v_TKH)

    model.hidden_states(model.embed_tokens(torch.arange(5)), torch.arange(5), attend)
    assert layers == [0, 1, 2]
