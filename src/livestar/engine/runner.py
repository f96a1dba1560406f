"""One forward pass over the chunks of many streams.

Shape suffixes: T packed rows, S scored rows, D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from livestar.kv import Chunk, PagedAttend, PagePool, Sampling, Score
from livestar.model import LiveStarModel


class Runner:
    """Runs chunks on the network and keeps the cache's bookkeeping in step with what was fed.

    Logits exist only for scored rows, in fp32. Not thread-safe: one thread owns a runner and its pool.

    Attributes:
        tokens_fed: rows computed so far, for benchmarks and metrics.
    """

    def __init__(self, model: LiveStarModel, pool: PagePool) -> None:
        self._model = model
        self._pool = pool
        self._device = pool.keys_LRKH.device
        self.tokens_fed = 0

    @torch.inference_mode()
    def forward(self, chunks: Sequence[Chunk]) -> list[Score]:
        """Computes every chunk in one pass; a chunk may see rows that an earlier chunk of the pass writes."""
        positions_T = torch.from_numpy(np.concatenate([chunk.positions for chunk in chunks])).to(self._device)
        hidden_TD = self._model.hidden_states(
            self._embed(chunks), positions_T, PagedAttend(self._pool, chunks)
        )
        for chunk in chunks:
            self._pool.record(chunk.rows, chunk.content.ids, chunk.positions, chunk.content.sources())
        self.tokens_fed += len(positions_T)
        return self._score(chunks, hidden_TD)

    def _embed(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        ids_T = torch.from_numpy(np.concatenate([chunk.content.ids for chunk in chunks])).to(self._device)
        x_TD = self._model.embed_tokens(ids_T).clone()
        start = 0
        for chunk in chunks:
            for span in chunk.content.visuals:
                at = start + span.at
                x_TD[at : at + len(span.tokens_VD)] = span.tokens_VD.to(x_TD)
            start += len(chunk)
        return x_TD

    def _score(self, chunks: Sequence[Chunk], hidden_TD: torch.Tensor) -> list[Score]:
        """Logits of every scored row in one product, then the host gets numbers only."""
        ends = np.cumsum([len(chunk) for chunk in chunks])
        wanted = [
            np.arange(end - num_scored_rows(chunk), end) for chunk, end in zip(chunks, ends, strict=True)
        ]
        index_S = np.concatenate(wanted)
        if len(index_S) == 0:
            return [Score(np.empty(0)) for _ in chunks]
        logits_SV = self._model.score(hidden_TD[torch.from_numpy(index_S).to(self._device)])
        log_z_S = torch.logsumexp(logits_SV, dim=-1)
        scores, start = [], 0
        for chunk, rows in zip(chunks, wanted, strict=True):
            part = slice(start, start + len(rows))
            scores.append(_score_chunk(chunk, logits_SV[part], log_z_S[part]))
            start += len(rows)
        return scores


def num_scored_rows(chunk: Chunk) -> int:
    """How many of a chunk's last rows need logits."""
    return max(len(chunk.targets), int(chunk.sampling is not None))


def _score_chunk(chunk: Chunk, logits_SV: torch.Tensor, log_z_S: torch.Tensor) -> Score:
    targets = torch.from_numpy(chunk.targets).to(logits_SV.device)
    rows = slice(len(logits_SV) - len(targets), None)
    nll = log_z_S[rows] - logits_SV[rows].gather(-1, targets[:, None]).squeeze(-1)
    scored = nll.double().cpu().numpy()
    if chunk.sampling is None or not bool(torch.isfinite(log_z_S[-1])):
        return Score(scored)
    token = choose(logits_SV[-1], chunk.sampling)
    return Score(scored, token, float(log_z_S[-1] - logits_SV[-1, token]))


def choose(logits_V: torch.Tensor, sampling: Sampling) -> int:
    """The greedy next token under the repetition penalty of the published decoder.

    Args:
        logits_V: fp32 [V]; not changed.
        sampling: ids to penalise and to forbid.
    """
    logits_V = penalise(logits_V, sampling)
    if sampling.forbidden:
        logits_V[list(sampling.forbidden)] = -torch.inf
    return int(logits_V.argmax())


def penalise(logits_V: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """A copy of the logits in which ids that were already generated are less likely.

    Source: published greedy settings: penalty 1.05 over the tokens of the current caption only; a positive logit is divided
    by the penalty, a negative one multiplied.
    """
    logits_V = logits_V.clone()
    if sampling.penalised and sampling.penalty != 1.0:
        ids = torch.tensor(sorted(set(sampling.penalised)), device=logits_V.device)
        seen = logits_V[ids]
        logits_V[ids] = torch.where(seen > 0, seen / sampling.penalty, seen * sampling.penalty)
    return logits_V
