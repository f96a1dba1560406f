"""Writes untrained checkpoints in the published layout: for tests, measurements, and as the start of training."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import sentencepiece
import torch
from safetensors.torch import save_file
from torch import nn

from livestar.core.errors import CheckpointError
from livestar.model.config import LiveStarConfig
from livestar.model.folder import WEIGHTS_FILE
from livestar.model.livestar import LiveStarModel
from livestar.model.template import OVERRIDES_FILE
from livestar.model.tokenizer import MODEL_FILE, SETTINGS_FILE, Tokenizer

IMAGE_TOKENS = ("<img>", "</img>", "<IMG_CONTEXT>")
"""Added behind the pieces, as in the published vocabulary."""

SPARE_PIECES = ("[UNUSED_TOKEN_145]", "[UNUSED_TOKEN_146]")
"""Pieces whose ids `<|im_end|>` and `<|im_start|>` take, as in the published vocabulary."""

SMALL_TEMPLATE = {"system": "You narrate live video.", "task_prompt": "Describe what happens.\n"}
"""livestar.json of a small model: the published prompts would cost it hundreds of tokens."""


def write_tokenizer(directory: Path | str, corpus: Iterable[str], vocab_size: int) -> Tokenizer:
    """Trains a small sentencepiece model and writes tokenizer.model, tokenizer_config.json and livestar.json.

    Text survives exactly: no normalisation, no dummy prefix, unknown characters as bytes, one token per digit, line breaks are
    pieces. The last three ids are the image tokens, so `<IMG_CONTEXT>` is `vocab_size - 1`.

    Args:
        directory: created where missing.
        corpus: sentences; varied enough for the vocabulary.
        vocab_size: ids in all, above 270.

    Raises:
        ValueError: the corpus is too small for the vocabulary.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    sentencepiece.SetMinLogLevel(2)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size - len(IMAGE_TOKENS),
            user_defined_symbols=[*SPARE_PIECES, "\n"],
            byte_fallback=True,
            character_coverage=1.0,
            split_digits=True,
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            normalization_rule_name="identity",
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ValueError(f"The corpus does not carry {vocab_size} ids: {error}.") from error
    (directory / MODEL_FILE).write_bytes(model.getvalue())
    (directory / SETTINGS_FILE).write_text(
        json.dumps(_settings(model.getvalue()), indent=1), encoding="utf-8"
    )
    (directory / OVERRIDES_FILE).write_text(json.dumps(SMALL_TEMPLATE, indent=1), encoding="utf-8")
    return Tokenizer.from_directory(directory)


def _settings(model: bytes) -> dict[str, object]:
    """tokenizer_config.json: every added token with its id."""
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    contents = {0: "<unk>", 1: "<s>", 2: "</s>"}
    contents |= dict(zip(map(pieces.piece_to_id, SPARE_PIECES), ("<|im_end|>", "<|im_start|>"), strict=True))
    contents |= dict(enumerate(IMAGE_TOKENS, start=pieces.get_piece_size()))
    return {
        "added_tokens_decoder": {
            str(token_id): {"content": content, "special": True} for token_id, content in contents.items()
        },
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "</s>",
        "unk_token": "<unk>",
        "tokenizer_class": "InternLM2Tokenizer",
    }


def write_random_checkpoint(
    directory: Path | str,
    *,
    config: LiveStarConfig,
    tokenizer_dir: Path | str | None = None,
    corpus: Iterable[str] | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.bfloat16,
) -> Path:
    """Writes a complete folder with random weights; the same seed gives the same weights.

    Args:
        directory: created where missing.
        config: sizes. `vocab_size` and `img_context_token_id` must fit the tokenizer.
        tokenizer_dir: folder whose tokenizer (and livestar.json, if any) is copied; or
        corpus: sentences to train a tokenizer of `vocab_size` ids on. Exactly one of the two.
        seed: of the weights.
        dtype: of the stored weights.

    Returns:
        The folder.

    Raises:
        CheckpointError: tokenizer and configuration do not fit each other.
        ValueError: not exactly one of `tokenizer_dir` and `corpus`, or the corpus is too small.
    """
    directory = Path(directory)
    if (tokenizer_dir is None) == (corpus is None):
        raise ValueError("give either tokenizer_dir or corpus.")
    if corpus is not None:
        tokenizer = write_tokenizer(directory, corpus, config.llm_config.vocab_size)
    else:
        tokenizer = _copy_tokenizer(Path(str(tokenizer_dir)), directory)
    tokenizer.check_fits(config)
    model = random_model(config, seed)
    model.to(dtype)  # type: ignore[arg-type]  # the stub forgets dtypes
    save_file(model.state_dict(), directory / WEIGHTS_FILE, metadata={"format": "pt"})
    model.config.architectures, model.config.dtype = [type(model).__name__], dtype
    model.config.save_pretrained(directory)
    return directory


def random_model(config: LiveStarConfig, seed: int = 0) -> LiveStarModel:
    """A network with random float32 weights; the same seed gives the same weights.

    Matrices keep the variance of what they multiply, so that what even an untrained network says depends on what it sees.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LiveStarModel(config)
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    return model


def _copy_tokenizer(source: Path, target: Path) -> Tokenizer:
    """Copies the tokenizer's files, and the template's where there is one."""
    target.mkdir(parents=True, exist_ok=True)
    for name in (MODEL_FILE, SETTINGS_FILE, OVERRIDES_FILE):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
        elif name != OVERRIDES_FILE:
            raise CheckpointError(f"{source} holds no {name}.")
    return Tokenizer.from_directory(target)
