"""The logic of a stream as coroutines: they yield the chunks they want computed and are resumed with the scores.

So that watching and speaking read as prose, while the engine batches the chunks of all coroutines of all streams.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeVar

from livestar.kv import Chunk, Score

T = TypeVar("T")

Steps = Generator[list[Chunk], list[Score], T]
"""Yields the chunks of one pass, receives their scores in the same order, returns T."""


def run(chunk: Chunk) -> Steps[Score]:
    """One chunk, one score."""
    [score] = yield [chunk]
    return score


def together(steps: Sequence[Steps[T]]) -> Steps[list[T]]:
    """Runs several coroutines side by side, pass by pass; returns their results in order."""
    results: dict[int, T] = {}
    wanted: dict[int, list[Chunk]] = {}
    try:
        for index, step in enumerate(steps):
            _advance(step, None, index, wanted, results)
        while wanted:
            scores = yield [chunk for chunks in wanted.values() for chunk in chunks]
            for index, chunks in list(wanted.items()):
                mine, scores = scores[: len(chunks)], scores[len(chunks) :]
                del wanted[index]
                _advance(steps[index], mine, index, wanted, results)
            wanted = dict(sorted(wanted.items()))
    finally:
        for step in steps:
            step.close()
    return [results[index] for index in range(len(steps))]


def _advance(
    step: Steps[T],
    scores: list[Score] | None,
    index: int,
    wanted: dict[int, list[Chunk]],
    results: dict[int, T],
) -> None:
    try:
        wanted[index] = next(step) if scores is None else step.send(scores)
    except StopIteration as done:
        results[index] = done.value


class Task:
    """A coroutine that is under way: the chunks it waits for, and how to resume it."""

    def __init__(self, steps: Steps[None]) -> None:
        self._steps = steps
        self.chunks: list[Chunk] = []
        self.done = False
        self._advance(None)

    def resume(self, scores: list[Score]) -> None:
        """Hands over the scores of `chunks`; afterwards `chunks` holds the next ones, or `done` is set."""
        self._advance(scores)

    def close(self) -> None:
        """Abandons the coroutine; whatever it holds is released."""
        self._steps.close()
        self.done = True

    def _advance(self, scores: list[Score] | None) -> None:
        try:
            self.chunks = next(self._steps) if scores is None else self._steps.send(scores)
        except StopIteration:
            self.chunks, self.done = [], True
