"""How likely the true words are, given everything that is true before them: one plain causal pass.

Shape suffixes: T tokens, S scored tokens, R visual rows, D width, V vocabulary.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch.nn import functional as F

from livestar.evaluation.synthstar_watched import Forced
from livestar.model import ChatTemplate, DenseAttend, LoadedModel


@dataclass(frozen=True, slots=True)
class ForcedTurn:
    """What is shown or asked, and what is to be said about it.

    Attributes:
        shown: ids up to the turn of the words.
        told: ids of that turn, markers included.
    """

    shown: tuple[int, ...]
    told: tuple[int, ...]

    @classmethod
    def of(cls, template: ChatTemplate, shown: Sequence[int], words: str) -> ForcedTurn:
        """The turn in which the words are said."""
        told = (*template.assistant_open, *template.text(words), *template.turn_close)
        return cls(tuple(shown), told)

    def __len__(self) -> int:
        return len(self.shown) + len(self.told)


def fitting(turns: Sequence[ForcedTurn], max_tokens: int) -> Sequence[ForcedTurn]:
    """As many of the first turns as have at most so many tokens together."""
    return turns[: bisect_right(list(accumulate(map(len, turns))), max_tokens)]


@torch.inference_mode()
def force_turns(
    model: LoadedModel, turns: Sequence[ForcedTurn], seen: Sequence[torch.Tensor]
) -> tuple[Forced, ...]:
    """Scores the words of every turn, each with the token that ends it.

    Args:
        model: what predicts.
        turns: the dialogue in order; all of it is fed.
        seen: visual tokens [16, D] of the frames in the order of their placeholders; there may be more than placeholders.
    """
    if not turns:
        return ()
    ids_T = torch.tensor(
        [i for turn in turns for i in (*turn.shown, *turn.told)], device=model.network.device
    )
    hidden_TD = model.network.hidden_states(
        _embed(model, ids_T, seen), torch.arange(len(ids_T), device=ids_T.device), DenseAttend()
    )
    skipped, closing = len(model.template.assistant_open), len(model.template.turn_close)
    scored = []
    for turn, end in zip(turns, accumulate(map(len, turns)), strict=True):
        # The words and the stop token; only the line break after it is free.
        rows = torch.arange(end - len(turn.told) + skipped, end - closing + 1)
        scored.append(_score(model, hidden_TD[rows - 1], ids_T[rows]))
    return tuple(scored)


def _embed(model: LoadedModel, ids_T: torch.Tensor, seen: Sequence[torch.Tensor]) -> torch.Tensor:
    """Embeddings [T, D] with the visual tokens in their places."""
    x_TD = model.network.embed_tokens(ids_T).clone()
    places_T = ids_T == model.tokenizer.img_context_id
    if places_T.any():
        visual_RD = torch.cat(list(seen))[: int(places_T.sum())]
        x_TD[places_T] = visual_RD.to(x_TD)
    return x_TD


def _score(model: LoadedModel, hidden_SD: torch.Tensor, targets_S: torch.Tensor) -> Forced:
    logits_SV = model.network.score(hidden_SD)
    right_S = logits_SV.argmax(-1) == targets_S
    return Forced(float(F.cross_entropy(logits_SV, targets_S)), float(right_S.float().mean()))
