"""InternViT: a frame becomes one hidden state per patch, and a class token.

Shape suffixes: B frames, T = 1 + patches, C width, N heads, H head width.
Source: InternVL (arXiv 2312.14238); names as in the published checkpoint layout.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from livestar.model.config import VisionConfig
from livestar.model.linear import Linear


class PatchEmbeddings(nn.Module):
    """Pixels to patches, a class token in front, learned absolute positions."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width, self._image_size = config.hidden_size, config.image_size
        self.class_embedding = nn.Parameter(torch.randn(1, 1, width) * config.initializer_range)
        self.patch_embedding = nn.Conv2d(
            config.num_channels, width, kernel_size=config.patch_size, stride=config.patch_size
        )
        positions = torch.randn(1, config.grid_size**2 + 1, width) * config.initializer_range
        self.position_embedding = nn.Parameter(positions)

    def forward(self, pixels_B3HW: torch.Tensor) -> torch.Tensor:
        """[B, 3, image_size, image_size] to [B, T, C]."""
        if pixels_B3HW.shape[1:] != (3, self._image_size, self._image_size):
            raise ValueError(
                f"frames must be [B, 3, {self._image_size}, {self._image_size}], not {list(pixels_B3HW.shape)}."
            )
        patches_BTC = self.patch_embedding(pixels_B3HW).flatten(2).mT
        class_B1C = self.class_embedding.expand(len(patches_BTC), -1, -1)
        return torch.cat((class_B1C, patches_BTC), dim=1) + self.position_embedding


class VisionAttention(nn.Module):
    """Every patch attends to every patch."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width, self._num_heads = config.hidden_size, config.num_attention_heads
        self.qkv = Linear(width, 3 * width, bias=config.qkv_bias)
        self.proj = Linear(width, width)

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        """[B, T, C] to [B, T, C]."""
        qkv = self.qkv(x_BTC).unflatten(-1, (3, self._num_heads, -1)).permute(2, 0, 3, 1, 4)
        out_BNTH = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        return self.proj(out_BNTH.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class VisionMlp(nn.Module):
    """Two layers with the exact GELU between them."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        """[B, T, C] to [B, T, C]."""
        return self.fc2(F.gelu(self.fc1(x_BTC)))  # type: ignore[no-any-return]


class VisionLayer(nn.Module):
    """Pre-norm block; each branch is scaled per channel before it joins."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attn = VisionAttention(config)
        self.ls1 = nn.Parameter(torch.ones(config.hidden_size))
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = VisionMlp(config)
        self.ls2 = nn.Parameter(torch.ones(config.hidden_size))

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        """[B, T, C] to [B, T, C]."""
        x_BTC = x_BTC + self.ls1 * self.attn(self.norm1(x_BTC))
        return x_BTC + self.ls2 * self.mlp(self.norm2(x_BTC))  # type: ignore[no-any-return]


class VisionEncoder(nn.Module):
    """The stack of blocks."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(VisionLayer(config) for _ in range(config.num_hidden_layers))
        self.gradient_checkpointing = False
        self._gradient_checkpointing_func = checkpoint

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        """[B, T, C] to [B, T, C]."""
        for layer in self.layers:
            if self.gradient_checkpointing and self.training:
                x_BTC = self._gradient_checkpointing_func(layer, x_BTC)
            else:
                x_BTC = layer(x_BTC)
        return x_BTC


class VisionModel(nn.Module):
    """The vision tower. There is no final norm: the last hidden state is used raw."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.embeddings = PatchEmbeddings(config)
        self.encoder = VisionEncoder(config)

    def forward(self, pixels_B3HW: torch.Tensor) -> torch.Tensor:
        """Hidden states [B, T, C] of frames [B, 3, image_size, image_size], class token first.

        Raises:
            ValueError: the frames have another size.
        """
        return self.encoder(self.embeddings(pixels_B3HW))  # type: ignore[no-any-return]
