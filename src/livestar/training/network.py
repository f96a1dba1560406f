"""The network as training runs it: pictures of a batch in, negative log likelihoods of its scored tokens out.

No step waits for the device: where visual tokens go and which rows are scored is counted beforehand (`batch.Collate`).

Shape suffixes: B sequences, T tokens, F frames, D width, S scored rows, V vocabulary.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from livestar.model import LiveStarModel
from livestar.model.image import MEAN, STD
from livestar.training.flex_attend import scam_attend

Freezable = Literal["vision", "projector", "language"]


class Scores(NamedTuple):
    """`nll_S`: nats, float32. `right_S`: bool, whether the scored token is also the likeliest one."""

    nll_S: Tensor
    right_S: Tensor


class TrainingNetwork(nn.Module):
    """Wraps the network; its parameters are the network's own.

    Args:
        network: in training mode, float32 or bfloat16.
        fused_attention: FlexAttention instead of a dense mask.
        compiled: compile the vision tower and the language model; they then want equal shapes at every step.
        frozen: parts that do not learn.
    """

    _mean: Tensor
    _std: Tensor

    def __init__(
        self,
        network: LiveStarModel,
        *,
        fused_attention: bool = False,
        compiled: bool = False,
        frozen: tuple[Freezable, ...] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self._fused_attention = fused_attention
        parts = {
            "vision": network.vision_model,
            "projector": network.mlp1,
            "language": network.language_model,
        }
        for part in frozen:
            parts[part].requires_grad_(requires_grad=False)
        for name, values in (("_mean", MEAN), ("_std", STD)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)
        self._compiled: tuple[Any, Any] | None = None
        if compiled:
            self._compiled = (
                torch.compile(self.look, dynamic=False),
                torch.compile(network.hidden_states, dynamic=False),
            )

    def forward(
        self,
        ids_BT: Tensor,
        positions_BT: Tensor,
        vis_until_BT: Tensor,
        frames_FHW3: Tensor,
        visual_rows: Tensor,
        scored_rows_S: Tensor,
        targets_S: Tensor,
    ) -> Scores:
        """Scores a batch; see `batch.collate` for the inputs."""
        # Validation runs rarely: compiling the forward pass once more would cost more than it saves.
        compiled = self._compiled if torch.is_grad_enabled() else None
        look, read = compiled or (self.look, self.network.hidden_states)
        embedded_BTD = self.network.embed_tokens(ids_BT)
        visual_RD = look(frames_FHW3).flatten(0, 1).to(embedded_BTD)
        x_BTD = embedded_BTD.flatten(0, 1).index_copy(0, visual_rows, visual_RD).view_as(embedded_BTD)
        attend = scam_attend(vis_until_BT, fused=self._fused_attention)
        hidden_BTD = read(x_BTD, positions_BT, attend)
        logits_SV = self.network.score(hidden_BTD.flatten(0, 1).index_select(0, scored_rows_S))
        nll_S = F.cross_entropy(logits_SV, targets_S, reduction="none")
        return Scores(nll_S, logits_SV.argmax(-1) == targets_S)

    def look(self, frames_FHW3: Tensor) -> Tensor:
        """Visual tokens [F, 16, D] of pictures; normalises as `livestar.model.to_pixels` does, but on the device."""
        pixels_F3HW = (frames_FHW3.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._std
        return self.network.encode_images(pixels_F3HW)
