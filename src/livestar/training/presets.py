"""Networks to start from, and the small vocabulary of SynthStar's language."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from livestar.model import LanguageConfig, LiveStarConfig, VisionConfig, write_tokenizer
from livestar.synth import Clip, Split, families, make_clip

NANO_VOCABULARY = 1024
CLIPS_PER_FAMILY = 40
CLIP_SECONDS = 240


def nano_config() -> LiveStarConfig:
    """15.6 million parameters: 224-pixel frames of 16 x 16 patches, 6 + 6 layers."""
    vision = VisionConfig(
        image_size=224,
        patch_size=14,
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=8,
        drop_path_rate=0.0,
    )
    language = LanguageConfig(
        vocab_size=NANO_VOCABULARY,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=2,
        rope_theta=10_000,
    )
    return LiveStarConfig(
        vision_config=vision,
        llm_config=language,
        force_image_size=224,
        img_context_token_id=NANO_VOCABULARY - 1,
    )


def write_nano_tokenizer(directory: Path) -> None:
    """Trains the vocabulary on SynthStar's training clips and writes it, with a short template, into a folder."""
    write_tokenizer(directory, synthstar_text(), NANO_VOCABULARY)


def synthstar_text() -> Iterator[str]:
    """Everything that SynthStar says, asks and answers, and the words of the template."""
    for family in families():
        for seed in range(CLIPS_PER_FAMILY):
            yield from _spoken(make_clip(family.name, seed, CLIP_SECONDS, Split.TRAIN))
    for number in range(1, 1000):
        yield f"Frame-{number}: "
    template = ("user\n", "assistant\n", "system\n", "You narrate live video.", "Describe what happens.\n")
    for line in template:
        yield from [line] * 1000


def _spoken(clip: Clip) -> Iterator[str]:
    for event in clip.events:
        yield from (event.narration, *event.paraphrases)
    yield from (grounding.query for grounding in clip.groundings)
    for question in clip.standing_questions:
        yield question.text
        yield from (answer for _, answer in question.answers)
    for asked in chain(clip.question_chains, *clip.question_rounds):
        for _, question_text, answer in asked.turns:
            yield from (question_text, answer)
