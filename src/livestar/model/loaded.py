"""A checkpoint, ready to use: network, tokenizer and template of one folder, and how it sees a frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from livestar.model.checkpoint import load_model
from livestar.model.image import resize_frame, to_pixels
from livestar.model.livestar import LiveStarModel
from livestar.model.template import ChatTemplate
from livestar.model.tokenizer import Tokenizer


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """What an engine needs of a checkpoint.

    Attributes:
        network: in eval mode.
        tokenizer: fits the network.
        template: of the same folder.
    """

    network: LiveStarModel
    tokenizer: Tokenizer
    template: ChatTemplate

    @classmethod
    def from_directory(
        cls,
        directory: Path | str,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> Self:
        """Loads a folder in the published layout.

        Raises:
            CheckpointError: tensors, configuration or tokenizer are missing or do not fit each other.
        """
        network = load_model(directory, dtype=dtype, device=device)
        tokenizer = Tokenizer.from_directory(directory)
        tokenizer.check_fits(network.config)
        return cls(network, tokenizer, ChatTemplate.from_directory(directory, tokenizer))

    @torch.inference_mode()
    def see(self, frames_rgb: list[np.ndarray]) -> torch.Tensor:
        """Visual tokens [B, 16, D] of frames, each uint8 [H, W, 3] of any size.

        Raises:
            BadImage: a frame has another shape or dtype.
        """
        size = self.network.config.vision_config.image_size
        resized = np.stack([resize_frame(rgb, size) for rgb in frames_rgb])
        return self.network.encode_images(to_pixels(resized).to(self.network.device))
