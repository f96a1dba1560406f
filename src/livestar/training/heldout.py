"""Validation by teacher forcing: how likely the true captions and answers of windows that training never shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from livestar.training.batch import Batch
from livestar.training.network import Scores
from livestar.training.packing import LeafKind

NAMES = {kind: kind.name.lower() for kind in LeafKind}


class Heldout:
    """A few batches that stay the same.

    Args:
        batches: of validation clips.
    """

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches = batches

    def measure(self, score: Callable[[Batch], Scores]) -> dict[str, float]:
        """Scores the batches.

        Returns:
            `eval_loss`: nats per scored token; and for every `LeafKind` that occurs `eval_<kind>_loss`, the share of right
            tokens `eval_<kind>_accuracy`, and of leaves whose tokens are all right, `eval_<kind>_exact`.
        """
        measured = [(batch, score(batch)) for batch in self._batches]
        nll_S = torch.cat([scores.nll_S.cpu() for _, scores in measured])
        right_S = torch.cat([scores.right_S.cpu() for _, scores in measured]).float()
        kind_L = torch.cat([batch["leaf_kind_L"] for batch, _ in measured])
        leaf_of_S = _joined(
            [batch["leaf_of_S"] for batch, _ in measured], [len(b["leaf_kind_L"]) for b, _ in measured]
        )
        wrong_L = torch.zeros(len(kind_L)).index_add(0, leaf_of_S, 1 - right_S)
        figures = {"eval_loss": float(nll_S.mean())}
        for kind, name in NAMES.items():
            of_kind_S, of_kind_L = kind_L[leaf_of_S] == kind, kind_L == kind
            if of_kind_L.any():
                figures[f"eval_{name}_loss"] = float(nll_S[of_kind_S].mean())
                figures[f"eval_{name}_accuracy"] = float(right_S[of_kind_S].mean())
                figures[f"eval_{name}_exact"] = float((wrong_L[of_kind_L] == 0).float().mean())
        return {name: round(value, 5) for name, value in figures.items()}


def _joined(leaf_of_S: Sequence[Tensor], counts: Sequence[int]) -> Tensor:
    """Leaf indices of several batches as indices into all their leaves."""
    starts = torch.tensor([0, *counts]).cumsum(0)
    return torch.cat([indices + start for indices, start in zip(leaf_of_S, starts[:-1], strict=True)])
