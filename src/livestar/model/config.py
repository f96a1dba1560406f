"""The published configuration: one file with a vision part and a language part.

Source: published checkpoint layout (LiveStar_8B, config.json).
"""

from __future__ import annotations

import importlib
import json
from dataclasses import field
from typing import Any, ClassVar

from transformers import AutoConfig
from transformers.configuration_utils import PretrainedConfig

from livestar.core.errors import CheckpointError

NUM_VISUAL_TOKENS = 16
"""Tokens that a frame becomes; a constant of the published model, not in config.json. Source: paper, implementation details."""

FRAMES_PER_MERGE = 1
"""Every frame is merged on its own. Source: published checkpoint layout."""


class VisionConfig(PretrainedConfig):
    """InternViT. Defaults are the published 300M network at 448 pixels."""

    model_type: ClassVar[str] = "intern_vit_6b"

    num_channels: int = 3
    image_size: int = 448
    patch_size: int = 14
    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    hidden_act: str = "gelu"
    norm_type: str = "layer_norm"
    layer_norm_eps: float = 1e-6
    qkv_bias: bool = True
    qk_normalization: bool = False
    drop_path_rate: float = 0.1
    initializer_range: float = 0.02

    @property
    def grid_size(self) -> int:
        """Patches along one side of the square image."""
        return self.image_size // self.patch_size


class LanguageConfig(PretrainedConfig):
    """InternLM2. Defaults are the published 7B network."""

    model_type: ClassVar[str] = "internlm2"

    vocab_size: int = 92560
    hidden_size: int = 4096
    intermediate_size: int = 14336
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 8
    hidden_act: str = "silu"
    bias: bool = False
    max_position_embeddings: int = 32768
    rms_norm_eps: float = 1e-5
    rope_theta: float = 1_000_000
    rope_scaling: dict[str, Any] | None = None
    initializer_range: float = 0.02
    bos_token_id: int = 1
    eos_token_id: int = 2
    pad_token_id: int = 2
    tie_word_embeddings: bool = False

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads


class LiveStarConfig(PretrainedConfig):
    """The whole model. Unknown keys are kept and written back.

    Raises:
        CheckpointError: a value asks for something that this network does not do.

    Source: published checkpoint layout.
    """

    model_type: ClassVar[str] = "internvl_chat"
    sub_configs: ClassVar[dict[str, type[PretrainedConfig]]] = {
        "vision_config": VisionConfig,
        "llm_config": LanguageConfig,
    }

    vision_config: VisionConfig = field(default_factory=VisionConfig)
    llm_config: LanguageConfig = field(default_factory=LanguageConfig)
    downsample_ratio: float = 0.5
    ps_version: str = "v2"
    select_layer: int = -1
    force_image_size: int | None = None
    template: str = "internvl2_5"
    dynamic_image_size: bool = False
    use_thumbnail: bool = False
    min_dynamic_patch: int = 1
    max_dynamic_patch: int = 1
    img_context_token_id: int = 92546

    def __post_init__(self, **kwargs: Any) -> None:
        for name, part in self.sub_configs.items():
            value = getattr(self, name)
            if not isinstance(value, part):
                setattr(self, name, part(**(value or {})))
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        check_supported(self)
        # AutoModel looks for the class once it holds a configuration: registering it only now keeps
        # `import livestar.model` free of transformers' modelling code.
        importlib.import_module("livestar.model.livestar")

    def to_json_string(self, use_diff: bool = True) -> str:  # noqa: FBT001 - as transformers has it
        """The text of config.json, with the weights' type under the name that older readers know."""
        written = json.loads(super().to_json_string(use_diff=use_diff))
        for part in (written, *(written[name] for name in self.sub_configs)):
            if (dtype := part.pop("dtype", None)) is not None:
                part["torch_dtype"] = dtype
        return json.dumps(written, indent=2, sort_keys=True) + "\n"


def check_supported(config: LiveStarConfig) -> None:
    """Refuses values that this network does not implement.

    Raises:
        CheckpointError: naming the first such value.
    """
    vision, language = config.vision_config, config.llm_config
    rope_type = (language.rope_scaling or {}).get("type", "dynamic")
    implemented: list[tuple[str, object, tuple[object, ...]]] = [
        ("ps_version", config.ps_version, ("v2",)),
        ("select_layer", config.select_layer, (-1,)),
        ("downsample_ratio", config.downsample_ratio, (0.5,)),
        ("force_image_size", config.force_image_size, (None, vision.image_size)),
        ("vision_config.model_type", vision.model_type, ("intern_vit_6b",)),
        ("vision_config.norm_type", vision.norm_type, ("layer_norm",)),
        ("vision_config.qk_normalization", vision.qk_normalization, (False,)),
        ("vision_config.hidden_act", vision.hidden_act, ("gelu",)),
        ("vision_config.num_channels", vision.num_channels, (3,)),
        ("llm_config.model_type", language.model_type, ("internlm2",)),
        ("llm_config.hidden_act", language.hidden_act, ("silu",)),
        ("llm_config.bias", language.bias, (False,)),
        ("llm_config.tie_word_embeddings", language.tie_word_embeddings, (False,)),
        ("llm_config.rope_scaling.type", rope_type, ("dynamic",)),
    ]
    for name, value, allowed in implemented:
        if value not in allowed:
            choices = " or ".join(map(repr, allowed))
            raise CheckpointError(f"config.json sets {name} to {value!r}; this network implements {choices}.")
    _check_sizes(vision, language)


def _check_sizes(vision: VisionConfig, language: LanguageConfig) -> None:
    """What must divide, divides; and a frame can become 16 tokens."""
    width, heads = language.hidden_size, language.num_attention_heads
    shuffled_width = 4 * vision.hidden_size
    divisions = [
        ("vision_config.image_size", vision.image_size, "patch_size", vision.patch_size),
        ("vision_config.hidden_size", vision.hidden_size, "num_attention_heads", vision.num_attention_heads),
        ("llm_config.hidden_size", width, "num_attention_heads", heads),
        ("llm_config.num_attention_heads", heads, "num_key_value_heads", language.num_key_value_heads),
        ("four times vision_config.hidden_size", shuffled_width, "llm_config.num_attention_heads", heads),
    ]
    for name, value, divisor_name, divisor in divisions:
        if divisor < 1 or value < 1 or value % divisor:
            raise CheckpointError(
                f"config.json: {name} ({value}) is no multiple of {divisor_name} ({divisor})."
            )
    if language.head_dim % 2:
        raise CheckpointError(
            f"config.json: rotary embedding needs an even head width, not {language.head_dim}."
        )
    tokens, odd = divmod(vision.grid_size**2, 4)
    doublings = tokens // NUM_VISUAL_TOKENS
    if odd or tokens % NUM_VISUAL_TOKENS or doublings & (doublings - 1) or doublings == 0:
        raise CheckpointError(
            f"config.json: {vision.grid_size} x {vision.grid_size} patches shuffle to {tokens} tokens; "
            f"merging needs {NUM_VISUAL_TOKENS} times a power of two."
        )


AutoConfig.register(LiveStarConfig.model_type, LiveStarConfig)
