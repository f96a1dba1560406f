"""One of the language models that learn side by side.

Vision is frozen and shared: the visual tokens of a step come in from outside. One compiled function serves all of them, for
it takes the language model as an argument. No step waits for the device.

Shape suffixes: B sequences, T tokens, D width, R visual tokens of the batch, S scored rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from livestar.model import Attend
from livestar.model.language import LanguageModel
from livestar.model.scoring import score_rows
from livestar.training.batch import Batch
from livestar.training.flex_attend import scam_attend
from livestar.training.methods import HEAD_IDS, Method

Read = Callable[[LanguageModel, Tensor, Tensor, Attend], Tensor]
"""Hidden states of embeddings [B, T, D] at positions [B, T]."""

ADAM_BETAS = (0.9, 0.999)
MAX_GRAD_NORM = 1.0


def read(language: LanguageModel, x_BTD: Tensor, positions_BT: Tensor, attend: Attend) -> Tensor:
    """The plain form of `Read`."""
    return language(x_BTD, positions_BT, attend)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Losses:
    """Means of a step, in nats, as tensors: what is minimised, and its parts (NaN where there are none)."""

    loss: Tensor
    caption: Tensor
    decision: Tensor


class Learner:
    """A language model with its optimizer.

    Args:
        method: what it learns.
        language: float32; changed in place.
        lr: at the peak.
        weight_decay: of matrices.
        read: shared by all learners.
        fused_attention: FlexAttention instead of a dense mask.
        autocast: bfloat16 for what may be.
    """

    def __init__(
        self,
        method: Method,
        language: LanguageModel,
        *,
        lr: float,
        weight_decay: float,
        read: Read = read,
        fused_attention: bool = False,
        autocast: bool = False,
    ) -> None:
        self.method, self.language = method, language.train()
        self._lr, self._read = lr, read
        self._fused, self._autocast = fused_attention, autocast
        self._parameters = list(language.parameters())
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in self._parameters if p.dim() > 1], "weight_decay": weight_decay},
                {"params": [p for p in self._parameters if p.dim() < 2], "weight_decay": 0.0},
            ],
            lr=lr,
            betas=ADAM_BETAS,
            fused=self._parameters[0].is_cuda,
        )

    def step(self, batch: Batch, visual_RD: Tensor, rate: float) -> Tensor:
        """One step at a share of the peak learning rate. Returns loss, caption and decision loss, float32 [3], detached."""
        losses = self.losses(batch, visual_RD)
        losses.loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, MAX_GRAD_NORM, foreach=True)
        for group in self._optimizer.param_groups:
            group["lr"] = self._lr * rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return torch.stack((losses.loss, losses.caption, losses.decision)).detach()

    def losses(self, batch: Batch, visual_RD: Tensor) -> Losses:
        """The losses of a batch of `CompareCollate` on this device, with all visual tokens of its pictures."""
        device = visual_RD.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self._autocast):
            hidden_RD = self._hidden(batch, visual_RD).flatten(0, 1)
            nll_S = F.cross_entropy(
                self._logits(hidden_RD.index_select(0, batch["scored_rows_S"])),
                batch["targets_S"],
                reduction="none",
            )
            is_decision_S = batch["is_decision_S"].to(nll_S)
            caption = _mean(nll_S, 1 - is_decision_S)
            if self.method.speak_weight is None:
                return Losses(nll_S.mean(), caption, _mean(nll_S.detach(), is_decision_S))
            decision = self._head_loss(hidden_RD, batch, self.method.speak_weight)
            return Losses(caption + decision, caption, decision)

    def _hidden(self, batch: Batch, visual_RD: Tensor) -> Tensor:
        x_BTD = self.language.model.tok_embeddings(batch["ids_BT"])
        shown_RD = visual_RD.index_select(0, batch["visual_tokens"]).to(x_BTD)
        x_BTD = x_BTD.flatten(0, 1).index_copy(0, batch["visual_rows"], shown_RD).view_as(x_BTD)
        attend = scam_attend(batch["vis_until_BT"], fused=self._fused)
        return self._read(self.language, x_BTD, batch["positions_BT"], attend)

    def _head_loss(self, hidden_RD: Tensor, batch: Batch, speak_weight: float) -> Tensor:
        """Cross entropy between the head's two rows, "silent" first."""
        hidden_DD = hidden_RD.index_select(0, batch["decision_rows_D"])
        # Indices that are numbers need no copy to the device.
        rows_VD = self.language.output.weight
        logits_D2 = score_rows(hidden_DD, torch.stack((rows_VD[HEAD_IDS.silent], rows_VD[HEAD_IDS.speak])))
        weight_D = torch.where(batch["decisions_D"] == 1, speak_weight, 1.0)
        return _mean(F.cross_entropy(logits_D2, batch["decisions_D"], reduction="none"), weight_D)

    def _logits(self, hidden_SD: Tensor) -> Tensor:
        return score_rows(hidden_SD, self.language.output.weight)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum()
