"""The network: vision, token merging, projector, language model, tokenizer, chat template, checkpoints.

Importing this package registers the configuration with Hugging Face's AutoConfig; the names below load on first use, so that a
caller who wants the tokenizer does not pay for the network.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from livestar.model.config import FRAMES_PER_MERGE, NUM_VISUAL_TOKENS, LiveStarConfig

if TYPE_CHECKING:
    from livestar.model.attention import Attend, DenseAttend
    from livestar.model.checkpoint import check_tensors, expected_tensors, load_model
    from livestar.model.config import LanguageConfig, VisionConfig
    from livestar.model.folder import read_config
    from livestar.model.image import read_image, resize_frame, to_pixels
    from livestar.model.initialize import random_model, write_random_checkpoint, write_tokenizer
    from livestar.model.livestar import LiveStarModel, LiveStarOutput
    from livestar.model.loaded import LoadedModel
    from livestar.model.merging import merge_tokens, pixel_shuffle
    from livestar.model.rotary import apply_rotary, rotary_cos_sin, rotate_by
    from livestar.model.streaming import StreamingDecoder
    from livestar.model.template import ChatTemplate
    from livestar.model.tokenizer import Tokenizer

_HOMES = {
    "Attend": "attention",
    "ChatTemplate": "template",
    "DenseAttend": "attention",
    "LanguageConfig": "config",
    "LiveStarModel": "livestar",
    "LiveStarOutput": "livestar",
    "LoadedModel": "loaded",
    "StreamingDecoder": "streaming",
    "Tokenizer": "tokenizer",
    "VisionConfig": "config",
    "apply_rotary": "rotary",
    "check_tensors": "checkpoint",
    "expected_tensors": "checkpoint",
    "load_model": "checkpoint",
    "merge_tokens": "merging",
    "pixel_shuffle": "merging",
    "random_model": "initialize",
    "read_config": "folder",
    "read_image": "image",
    "resize_frame": "image",
    "rotary_cos_sin": "rotary",
    "rotate_by": "rotary",
    "to_pixels": "image",
    "write_random_checkpoint": "initialize",
    "write_tokenizer": "initialize",
}

__all__ = [
    "FRAMES_PER_MERGE",
    "NUM_VISUAL_TOKENS",
    "Attend",
    "ChatTemplate",
    "DenseAttend",
    "LanguageConfig",
    "LiveStarConfig",
    "LiveStarModel",
    "LiveStarOutput",
    "LoadedModel",
    "StreamingDecoder",
    "Tokenizer",
    "VisionConfig",
    "apply_rotary",
    "check_tensors",
    "expected_tensors",
    "load_model",
    "merge_tokens",
    "pixel_shuffle",
    "random_model",
    "read_config",
    "read_image",
    "resize_frame",
    "rotary_cos_sin",
    "rotate_by",
    "to_pixels",
    "write_random_checkpoint",
    "write_tokenizer",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
