"""A complete checkpoint that is built in a second: the real layout and code paths, a tiny random network, its own vocabulary."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import torch

from livestar.model import LanguageConfig, LiveStarConfig, VisionConfig, write_random_checkpoint

VOCAB_SIZE = 512

_WHO = ("A red ball", "The small dog", "A man in a blue coat", "The green square", "Someone", "The camera")
_WHAT = (
    "enters from the left",
    "turns around slowly",
    "stops near the door",
    "picks up a cup",
    "leaves the room",
)
_HOW = ("", " again", " while the light fades", ", then waits for 12 seconds", " in front of 3 people")


def corpus() -> list[str]:
    """Captions, questions and the words of the template."""
    captions = [f"{who} {what}{how}." for who, what, how in product(_WHO, _WHAT, _HOW)]
    questions = [f"What is {who.lower()} doing? When did it happen: 4, 5 or 6789?" for who in _WHO]
    template = ["system user assistant Frame-1: Frame-20: You narrate live video. Describe what happens."]
    return captions + questions + template


def tiny_config() -> LiveStarConfig:
    """64-pixel frames of 16 x 16 patches (two rounds of merging), 3 layers, grouped queries, 512 ids."""
    vision = VisionConfig(
        image_size=64,
        patch_size=4,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
    )
    language = LanguageConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return LiveStarConfig(
        vision_config=vision,
        llm_config=language,
        force_image_size=64,
        img_context_token_id=VOCAB_SIZE - 1,
    )


def write_tiny_checkpoint(directory: Path, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Path:
    """Writes config, weights, tokenizer and template into `directory` and returns it."""
    return write_random_checkpoint(directory, config=tiny_config(), corpus=corpus(), seed=seed, dtype=dtype)
