"""InternLM2: embeddings in, normalised hidden states out. Where keys and values live is the caller's affair (`Attend`).

Shape suffixes: T tokens, D width, N query heads, K kv heads, G queries per kv head (N = K x G), H head width.
Every shape may have leading batch dimensions. Source: InternLM2 (arXiv 2403.17297); names as in the published checkpoint layout.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from livestar.model.attention import Attend
from livestar.model.config import LanguageConfig
from livestar.model.linear import Linear
from livestar.model.rotary import apply_rotary, rotary_cos_sin

Rotary = tuple[torch.Tensor, torch.Tensor]


class LanguageAttention(nn.Module):
    """Grouped-query attention with one fused projection."""

    def __init__(self, config: LanguageConfig, layer: int) -> None:
        super().__init__()
        self._layer, self._head_dim = layer, config.head_dim
        self._group = config.num_attention_heads // config.num_key_value_heads
        width_out = (config.num_attention_heads + 2 * config.num_key_value_heads) * config.head_dim
        self.wqkv = Linear(config.hidden_size, width_out, bias=False)
        self.wo = Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, x_TD: torch.Tensor, rotary: Rotary, attend: Attend) -> torch.Tensor:
        """[..., T, D] to [..., T, D]."""
        # The published projection is interleaved: per kv head its G queries, then its key, then its value.
        qkv = self.wqkv(x_TD).unflatten(-1, (-1, self._group + 2, self._head_dim))
        v_TKH = qkv[..., -1, :]
        # Queries and keys turn together: for a single token the number of kernels is what costs.
        turned = apply_rotary(qkv[..., :-1, :].flatten(-3, -2), *rotary).unflatten(-2, (-1, self._group + 1))
        q_TNH, k_TKH = turned[..., :-1, :].flatten(-3, -2), turned[..., -1, :]
        out_TNH = attend(self._layer, q_TNH, k_TKH, v_TKH)
        return self.wo(out_TNH.flatten(-2))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.w1 = Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.w3 = Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.w2 = Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x_TD: torch.Tensor) -> torch.Tensor:
        """[..., T, D] to [..., T, D]."""
        return self.w2(F.silu(self.w1(x_TD)) * self.w3(x_TD))  # type: ignore[no-any-return]


class LanguageLayer(nn.Module):
    """Pre-norm block."""

    def __init__(self, config: LanguageConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.attention = LanguageAttention(config, layer)
        self.ffn_norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.feed_forward = FeedForward(config)

    def forward(self, x_TD: torch.Tensor, rotary: Rotary, attend: Attend) -> torch.Tensor:
        """[..., T, D] to [..., T, D]."""
        x_TD = x_TD + self.attention(self.attention_norm(x_TD), rotary, attend)
        return x_TD + self.feed_forward(self.ffn_norm(x_TD))  # type: ignore[no-any-return]


class LanguageStack(nn.Module):
    """Embedding table, blocks and final norm."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self._head_dim, self._theta = config.head_dim, config.rope_theta
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(LanguageLayer(config, i) for i in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.gradient_checkpointing = False
        self._gradient_checkpointing_func = checkpoint

    def forward(self, x_TD: torch.Tensor, positions_T: torch.Tensor, attend: Attend) -> torch.Tensor:
        """Hidden states [..., T, D], final norm applied.

        Args:
            x_TD: embeddings, [T, D] or [B, T, D].
            positions_T: whole numbers, [T] or [B, T].
            attend: attention of one layer.
        """
        rotary = rotary_cos_sin(positions_T, self._head_dim, self._theta)
        for layer in self.layers:
            if self.gradient_checkpointing and self.training:
                x_TD = self._gradient_checkpointing_func(layer, x_TD, rotary, attend)
            else:
                x_TD = layer(x_TD, rotary, attend)
        return self.norm(x_TD)  # type: ignore[no-any-return]


class LanguageModel(nn.Module):
    """The language model: `model` gives hidden states, `output` holds the vocabulary's rows."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.model = LanguageStack(config)
        self.output = Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(self, x_TD: torch.Tensor, positions_T: torch.Tensor, attend: Attend) -> torch.Tensor:
        """Hidden states [..., T, D], final norm applied; see `LanguageStack.forward`."""
        return self.model(x_TD, positions_T, attend)  # type: ignore[no-any-return]
