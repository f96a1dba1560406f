"""What one forward pass is asked for: new rows, what they may see, and which of them are scored.

Shape suffixes: Q new rows, C context rows, S scored rows, V visual tokens a frame, D model width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from livestar.kv.pool import NOT_VISUAL


@dataclass(frozen=True)
class VisualSpan:
    """The visual tokens of one frame and where they stand.

    Attributes:
        at: index of the first of the consecutive placeholder ids.
        tokens_VD: [V, D], in the model's dtype (V = 16).
        frame: number of the frame, from 1.
    """

    at: int
    tokens_VD: torch.Tensor
    frame: int


@dataclass(frozen=True)
class Content:
    """Token ids, and the visual tokens that stand at some of them. Pictures are placed by index, never by searching text.

    Attributes:
        ids: int64 [Q].
        visuals: the frames shown, in order.
    """

    ids: np.ndarray
    visuals: tuple[VisualSpan, ...] = ()

    @staticmethod
    def text(*blocks: Sequence[int]) -> Content:
        """Content without pictures, from blocks of token ids."""
        return Content(np.concatenate([np.asarray(block, dtype=np.int64) for block in blocks]))

    @staticmethod
    def join(*parts: Content) -> Content:
        """One content after the other."""
        visuals, start = [], 0
        for part in parts:
            visuals += [replace(span, at=span.at + start) for span in part.visuals]
            start += len(part)
        return Content(np.concatenate([part.ids for part in parts]), tuple(visuals))

    def __len__(self) -> int:
        return len(self.ids)

    def sources(self) -> np.ndarray:
        """int64 [Q]: which visual token stands at each row (unique per frame and token), or NOT_VISUAL."""
        sources = np.full(len(self.ids), NOT_VISUAL, dtype=np.int64)
        for span in self.visuals:
            count = len(span.tokens_VD)
            sources[span.at : span.at + count] = span.frame * count + np.arange(count)
        return sources


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen after the chunk's last row: greedy, with the published repetition penalty.

    Attributes:
        penalised: ids generated so far in this caption; only these are penalised.
        penalty: a positive logit of such an id is divided by it, a negative one multiplied (1.0 = off).
        forbidden: ids that may not be chosen.
    """

    penalised: tuple[int, ...] = ()
    penalty: float = 1.0
    forbidden: tuple[int, ...] = ()


@dataclass(frozen=True)
class Chunk:
    """Consecutive new rows of one sequence.

    Attributes:
        content: what is fed, Q rows.
        positions: int64 [Q], explicit rotary positions.
        rows: int64 [Q], the cache rows that keys and values are written to.
        context: int64 [C], the cache rows visible before the chunk, in sequence order; may include rows that an earlier
            chunk of the same pass writes.
        targets: int64 [S]: the last S rows are scored against these ids.
        sampling: choose the next token after the last row.
    """

    content: Content
    positions: np.ndarray
    rows: np.ndarray
    context: np.ndarray
    targets: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    sampling: Sampling | None = None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Score:
    """What came back for a chunk.

    Attributes:
        nll: float64 [S], negative log-likelihood of each target, nats.
        token: the chosen next token, or None when none was asked for or the logits were not finite.
        token_nll: its negative log-likelihood under the unpenalised distribution, nats.
    """

    nll: np.ndarray
    token: int | None = None
    token_nll: float = float("nan")
