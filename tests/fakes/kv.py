"""A forward pass without a network and a cache without pages: between them every cached row can be checked exactly.

Shape suffixes: U vectors of the table, T rows, L layers, K kv heads, H head width.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from livestar.kv import Chunk, Content, PagePool, PositionPolicy, VisualSpan
from livestar.kv.pool import NOT_VISUAL
from livestar.model import apply_rotary, rotary_cos_sin

NUM_VISUAL_TOKENS = 3
NUM_TOKENS = 500
PLACEHOLDER = NUM_TOKENS - 1
THETA = 10_000.0
_MAX_FRAME = 1000


class Row(NamedTuple):
    """What one cache row should hold."""

    token: int
    position: int
    source: int


def frame_content(number: int, before: Sequence[int], after: Sequence[int]) -> Content:
    """A frame's visual tokens between text."""
    span = VisualSpan(len(before), torch.zeros(NUM_VISUAL_TOKENS, 1), number)
    ids = [*before, *[PLACEHOLDER] * NUM_VISUAL_TOKENS, *after]
    return Content(np.array(ids, dtype=np.int64), (span,))


class FakeForward:
    """Writes what is known beforehand: a vector of the token (or the visual token), rotated where it is a key."""

    def __init__(self, pool: PagePool) -> None:
        self.pool = pool
        layers, _, heads, width = pool.keys_LRKH.shape
        shape = (NUM_TOKENS + _MAX_FRAME * NUM_VISUAL_TOKENS, layers, heads, width)
        generator = torch.Generator().manual_seed(0)
        self._keys_ULKH = torch.randn(shape, generator=generator)
        self._values_ULKH = torch.randn(shape, generator=generator)

    def run(self, chunks: Sequence[Chunk]) -> list[list[Row]]:
        """One pass. Returns what every chunk could see, itself included."""
        for chunk in chunks:
            self._write(chunk)
        return [self._recorded(np.concatenate([chunk.context, chunk.rows])) for chunk in chunks]

    def check(self, rows: np.ndarray, expected: Sequence[Row]) -> None:
        """Compares bookkeeping, keys and values of `rows` with the sequence that they should hold."""
        assert self._recorded(rows) == list(expected)
        tokens, positions, sources = np.array(expected, dtype=np.int64).reshape(-1, 3).T.copy()
        index = torch.from_numpy(rows)
        keys_TLKH, values_TLKH = self._vectors(tokens, positions, sources)
        torch.testing.assert_close(
            self.pool.keys_LRKH[:, index].transpose(0, 1), keys_TLKH, atol=1e-4, rtol=0
        )
        assert torch.equal(self.pool.values_LRKH[:, index].transpose(0, 1), values_TLKH)

    def _write(self, chunk: Chunk) -> None:
        tokens, sources = chunk.content.ids, chunk.content.sources()
        keys_TLKH, values_TLKH = self._vectors(tokens, chunk.positions, sources)
        index = torch.from_numpy(chunk.rows)
        self.pool.keys_LRKH[:, index] = keys_TLKH.transpose(0, 1)
        self.pool.values_LRKH[:, index] = values_TLKH.transpose(0, 1)
        self.pool.record(chunk.rows, tokens, chunk.positions, sources)

    def _vectors(
        self, tokens: np.ndarray, positions: np.ndarray, sources: np.ndarray
    ) -> tuple[torch.Tensor, torch.Tensor]:
        index = torch.from_numpy(np.where(sources == NOT_VISUAL, tokens, NUM_TOKENS + sources))
        base_TLKH = self._keys_ULKH[index]
        cos_TH, sin_TH = rotary_cos_sin(torch.from_numpy(positions), base_TLKH.shape[-1], THETA)
        return apply_rotary(base_TLKH, cos_TH[:, None], sin_TH[:, None]), self._values_ULKH[index]

    def _recorded(self, rows: np.ndarray) -> list[Row]:
        pool = self.pool
        columns = (pool.row_token[rows], pool.row_position[rows], pool.row_source[rows])
        return [Row(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


@dataclass
class NaiveBranch:
    """The rows below a branch as they were when it was opened, and its own."""

    base: list[Row]
    rows: list[Row] = field(default_factory=list)

    @property
    def sequence(self) -> list[Row]:
        return self.base + self.rows

    def extend(self, content: Content) -> None:
        self.rows += _rows(content, _next_position(self.base) + len(self.rows))

    def truncate(self, num_rows: int) -> None:
        del self.rows[num_rows:]


class NaiveTrunk:
    """The trunk as a list of lists: what `Trunk` should hold, with nothing shared, freed or re-rotated."""

    def __init__(self, policy: PositionPolicy) -> None:
        self.policy = policy
        self.segments: list[list[Row]] = []
        self.num_computed = 0
        """Segments, not rows."""

    @property
    def sequence(self) -> list[Row]:
        return _flat(self.segments)

    @property
    def computed(self) -> list[Row]:
        return _flat(self.segments[: self.num_computed])

    def append(self, contents: Iterable[Content]) -> None:
        for content in contents:
            self.segments.append(_rows(content, _next_position(self.sequence)))

    def take_staged(self, max_rows: int | None) -> None:
        num_rows = 0
        for segment in self.segments[self.num_computed :]:
            if num_rows and max_rows is not None and num_rows + len(segment) > max_rows:
                break
            num_rows += len(segment)
            self.num_computed += 1

    def branch(self, without_last: int) -> NaiveBranch:
        return NaiveBranch(_flat(self.segments[: len(self.segments) - without_last]))

    def adopt(self, contents: Sequence[Content]) -> None:
        self.append(contents)
        self.num_computed += len(contents)

    def take_back(self, num_segments: int) -> None:
        del self.segments[len(self.segments) - num_segments :]
        self.num_computed = min(self.num_computed, len(self.segments))

    def forget(self, indices: Collection[int]) -> None:
        self.num_computed -= sum(index < self.num_computed for index in indices)
        self.segments = [rows for index, rows in enumerate(self.segments) if index not in indices]
        if indices and self.policy is PositionPolicy.CONTIGUOUS:
            self.rebase()
        if indices and self.policy is PositionPolicy.RECOMPUTED:
            self.invalidate()

    def rebase(self) -> None:
        position = 0
        for index, segment in enumerate(self.segments):
            self.segments[index] = [row._replace(position=position + i) for i, row in enumerate(segment)]
            position += len(segment)

    def invalidate(self) -> None:
        self.num_computed = 0
        self.rebase()


def _rows(content: Content, position: int) -> list[Row]:
    tokens, sources = content.ids.tolist(), content.sources().tolist()
    return [
        Row(token, position + i, source)
        for i, (token, source) in enumerate(zip(tokens, sources, strict=True))
    ]


def _next_position(rows: Sequence[Row]) -> int:
    return rows[-1].position + 1 if rows else 0


def _flat(segments: Iterable[list[Row]]) -> list[Row]:
    return [row for segment in segments for row in segment]
