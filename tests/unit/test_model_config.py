"""The configuration: published defaults, what is refused, what survives a round trip."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from fakes.checkpoint import tiny_config
from livestar.core.errors import CheckpointError
from livestar.model import LiveStarConfig, expected_tensors, read_config

pytestmark = pytest.mark.unit


def _values(part: str, key: str, value: object) -> dict[str, Any]:
    values = json.loads(tiny_config().to_json_string())
    (values[part] if part else values)[key] = value
    return values


def test_defaults_are_the_published_network() -> None:
    tensors = expected_tensors(LiveStarConfig())
    assert len(tensors) == 573
    assert sum(2 * math.prod(shape) for shape in tensors.values()) == 16_150_845_440


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("", "ps_version", "v1"),
        ("", "select_layer", -2),
        ("", "downsample_ratio", 0.25),
        ("", "force_image_size", 96),
        ("vision_config", "norm_type", "rms_norm"),
        ("vision_config", "qk_normalization", True),
        ("vision_config", "hidden_act", "gelu_new"),
        ("vision_config", "num_channels", 1),
        ("vision_config", "patch_size", 7),
        ("vision_config", "num_attention_heads", 5),
        ("vision_config", "num_attention_heads", 0),
        ("llm_config", "hidden_act", "relu"),
        ("llm_config", "bias", True),
        ("llm_config", "tie_word_embeddings", True),
        ("llm_config", "rope_scaling", {"type": "yarn", "factor": 4.0}),
        ("llm_config", "num_attention_heads", 5),
        ("llm_config", "num_key_value_heads", 3),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(part: str, key: str, value: object) -> None:
    with pytest.raises(CheckpointError, match=key):
        LiveStarConfig.from_dict(_values(part, key, value))


@pytest.mark.parametrize(("image_size", "patch_size"), [(48, 4), (24, 4), (20, 4), (4, 4)])
def test_the_patch_grid_must_halve_to_sixteen_tokens(image_size: int, patch_size: int) -> None:
    values = _values("vision_config", "image_size", image_size)
    values["vision_config"]["patch_size"], values["force_image_size"] = patch_size, image_size
    with pytest.raises(CheckpointError, match="16 times a power of two"):
        LiveStarConfig.from_dict(values)


def test_the_head_width_must_be_even() -> None:
    with pytest.raises(CheckpointError, match="even head width"):
        LiveStarConfig.from_dict(_values("llm_config", "hidden_size", 4 * 9))


def test_the_published_layout_survives_a_round_trip(tmp_path: Path) -> None:
    values = _values("llm_config", "rope_scaling", {"type": "dynamic", "factor": 2.0})
    values |= {"torch_dtype": "bfloat16", "auto_map": {"AutoModel": "theirs.Model"}, "strange": [1, 2]}
    del values["img_context_token_id"]
    LiveStarConfig.from_dict(values).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    expected = values | {"img_context_token_id": 92546}
    del expected["transformers_version"], written["transformers_version"]
    assert written == expected
    assert isinstance(AutoConfig.from_pretrained(tmp_path), LiveStarConfig)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "no valid JSON"),
        ("[]", "JSON object"),
        ('{"model_type": "llama"}', "'llama'"),
        ('{"model_type": "internvl_chat", "llm_config": {"hidden_size": "wide"}}', "wrong kind"),
        ('{"model_type": "internvl_chat", "vision_config": 7}', "wrong kind"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=says) as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_missing_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_config(tmp_path)
    with pytest.raises(CheckpointError, match="not a folder"):
        read_config(tmp_path / "absent")


def test_the_tokenizer_does_not_pay_for_the_network() -> None:
    program = "import sys; from livestar.model import Tokenizer; print('transformers.modeling_utils' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
