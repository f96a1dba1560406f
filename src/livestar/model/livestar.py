"""LiveStar: vision tower, projector and language model as one Hugging Face model.

Shape suffixes: B sequences or frames, F frames, V visual tokens (16), T tokens, S scored rows, C shuffled channels, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModel
from transformers.configuration_utils import PretrainedConfig
from transformers.modeling_utils import PreTrainedModel
from transformers.utils.generic import ModelOutput

from livestar.model.attention import Attend, DenseAttend
from livestar.model.config import LiveStarConfig, check_supported
from livestar.model.folder import compare_tensors, read_config, read_shapes
from livestar.model.language import LanguageModel
from livestar.model.linear import Linear
from livestar.model.merging import merge_tokens, pixel_shuffle
from livestar.model.scoring import score_rows
from livestar.model.vision import VisionModel

IGNORED = -100
"""A label that is not scored."""


@dataclass
class LiveStarOutput(ModelOutput):
    """What `LiveStarModel.forward` returns.

    Attributes:
        loss: mean cross entropy in nats over the scored labels, float32; None without labels.
        logits: float32 [B, T, vocabulary] without labels; [S, vocabulary] of the scored rows with labels.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None


class LiveStarModel(PreTrainedModel):
    """The published network; keys of its state are the published tensor names.

    Raises:
        CheckpointError: the configuration asks for something that is not implemented.

    Source: paper, section on the model; published checkpoint layout.
    """

    config_class = LiveStarConfig
    config: LiveStarConfig
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["VisionLayer", "LanguageLayer"]  # noqa: RUF012 - declared by transformers

    def __init__(self, config: LiveStarConfig) -> None:
        super().__init__(config)
        check_supported(config)
        shuffled, width = 4 * config.vision_config.hidden_size, config.llm_config.hidden_size
        self.vision_model = VisionModel(config.vision_config)
        self.mlp1 = nn.Sequential(
            nn.LayerNorm(shuffled), Linear(shuffled, width), nn.GELU(), Linear(width, width)
        )
        self.language_model = LanguageModel(config.llm_config)
        self.post_init()  # type: ignore[no-untyped-call]

    def encode_images(self, pixels_B3HW: torch.Tensor) -> torch.Tensor:
        """Visual tokens [B, 16, D] of frames, in the model's dtype; each frame on its own.

        Args:
            pixels_B3HW: normalised, float [B, 3, image_size, image_size]; moved to the model's device and dtype.

        Raises:
            ValueError: another shape.
        """
        hidden_BTC = self.vision_model(pixels_B3HW.to(self.device, self.dtype))[:, 1:]
        side = self.config.vision_config.grid_size
        shuffled_BTC = pixel_shuffle(hidden_BTC.unflatten(1, (side, side)))
        merged_BVC = merge_tokens(shuffled_BTC, self.config.llm_config.num_attention_heads)
        return self.mlp1(merged_BVC.to(self.dtype))  # type: ignore[no-any-return]

    def embed_tokens(self, ids_T: torch.Tensor) -> torch.Tensor:
        """Rows [..., D] of the embedding table for ids [...]."""
        return self.language_model.model.tok_embeddings(ids_T)  # type: ignore[no-any-return]

    def hidden_states(self, x_TD: torch.Tensor, positions_T: torch.Tensor, attend: Attend) -> torch.Tensor:
        """Hidden states with the final norm applied, in the shape of `x_TD`: [T, D] or [B, T, D].

        Args:
            x_TD: embeddings.
            positions_T: rotary positions, [T] or [B, T], below `max_position_embeddings` (the caller's duty).
            attend: where keys and values go and what each row sees.
        """
        return self.language_model(x_TD, positions_T, attend)  # type: ignore[no-any-return]

    def score(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """Logits, always accumulated and returned in float32: [..., vocabulary] of hidden states [..., D]."""
        logits_SV = score_rows(hidden_SD.flatten(0, -2), self.language_model.output.weight)
        return logits_SV.view(*hidden_SD.shape[:-1], logits_SV.shape[-1])

    def forward(
        self,
        input_ids: torch.Tensor,
        pixel_values: torch.Tensor | None = None,
        visual_tokens: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> LiveStarOutput:
        """One dense pass over whole sequences, for training and for full recomputation.

        Args:
            input_ids: int [B, T].
            pixel_values: frames [F, 3, image_size, image_size] of the whole batch, in the order of their placeholders.
            visual_tokens: the same frames already encoded, [F, 16, D]; instead of `pixel_values`.
            position_ids: int [B, T] or [T]; 0, 1, 2 … when absent.
            attention_mask: bool [B, 1, T, T] (True = may attend), or [B, T] (1 = token, 0 = padding; causal); None = causal.
            labels: int [B, T], -100 = not scored; the label at t is predicted by row t - 1.

        Raises:
            ValueError: placeholders and visual tokens differ in number.
        """
        if visual_tokens is None and pixel_values is not None:
            visual_tokens = self.encode_images(pixel_values)
        x_BTD = self._splice(input_ids, visual_tokens)
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=x_BTD.device)
        hidden_BTD = self.hidden_states(x_BTD, position_ids, DenseAttend(_visible(attention_mask)))
        if labels is None:
            return LiveStarOutput(logits=self.score(hidden_BTD))
        targets_BT = labels[:, 1:].to(hidden_BTD.device)
        scored_BT = targets_BT != IGNORED
        logits_SV, targets_S = self.score(hidden_BTD[:, :-1][scored_BT]), targets_BT[scored_BT]
        loss = F.cross_entropy(logits_SV, targets_S, reduction="sum") / max(1, len(targets_S))
        return LiveStarOutput(loss=loss, logits=logits_SV)

    def _splice(self, input_ids: torch.Tensor, visual_FVD: torch.Tensor | None) -> torch.Tensor:
        """Embeddings [B, T, D] with the visual tokens in the placeholders' rows, in order."""
        x_BTD, is_image_BT = self.embed_tokens(input_ids), input_ids == self.config.img_context_token_id
        expected = int(is_image_BT.sum())
        given = 0 if visual_FVD is None else visual_FVD.shape[:-1].numel()
        if expected != given:
            raise ValueError(
                f"the ids hold {expected} image placeholders, but {given} visual tokens are given."
            )
        if visual_FVD is None:
            return x_BTD
        return x_BTD.masked_scatter(is_image_BT[..., None], visual_FVD.to(x_BTD))

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing to do: the modules' own initialisation is meant, and loading is strict about missing tensors."""

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor, as a checkpoint stores them."""
        return {name: tuple(tensor.shape) for name, tensor in self.state_dict().items()}

    def get_input_embeddings(self) -> nn.Embedding:
        """The embedding table."""
        return self.language_model.model.tok_embeddings

    def get_output_embeddings(self) -> nn.Linear:
        """The vocabulary's rows."""
        return self.language_model.output

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | PathLike[Any] | None,
        *model_args: Any,
        config: PretrainedConfig | str | PathLike[Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Hugging Face loading from a local folder, as strict as `load_model`; nothing is downloaded.

        Raises:
            CheckpointError: the folder's configuration or tensors do not fit.
        """
        directory = Path(pretrained_model_name_or_path or "")
        if not isinstance(config, LiveStarConfig):
            config = read_config(directory)
        compare_tensors(empty_model(config).tensor_shapes(), read_shapes(directory))
        kwargs["local_files_only"] = True
        return super().from_pretrained(directory, *model_args, config=config, **kwargs)


def empty_model(config: LiveStarConfig) -> LiveStarModel:
    """The network without weights (on the meta device); costs no memory."""
    with torch.device("meta"):
        return LiveStarModel(config)


def _visible(attention_mask: torch.Tensor | None) -> torch.Tensor | None:
    """A [B, T] padding mask as bool [B, 1, T, T]: causal over real tokens, and every row sees at least itself."""
    if attention_mask is None or attention_mask.dim() == 4:
        return attention_mask
    num_tokens = attention_mask.shape[1]
    causal_TT = torch.ones(num_tokens, num_tokens, dtype=torch.bool, device=attention_mask.device).tril()
    itself_TT = torch.eye(num_tokens, dtype=torch.bool, device=attention_mask.device)
    return (causal_TT & attention_mask[:, None, None, :].bool()) | itself_TT


AutoModel.register(LiveStarConfig, LiveStarModel)
