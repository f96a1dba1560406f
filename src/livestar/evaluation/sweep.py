"""One setting varied and the others left alone: what a curve needs, watched in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from livestar.engine import GateSettings
from livestar.evaluation.memory_choice import MemoryChoice
from livestar.evaluation.synthstar_scores import score
from livestar.evaluation.synthstar_watch import WatchSettings
from livestar.evaluation.synthstar_watched import Task, Watched

Point = dict[str, float | int | None]
"""The value that was varied, by its name, and the scores."""


@dataclass(frozen=True)
class Sweep:
    """The settings of an evaluation, and of the curves around it.

    Attributes:
        base: what the scores are of.
        alphas: gates of the alpha curve. It scores what depends on the gate: narration and standing questions.
        budgets: `max_trunk_tokens` of the memory curve, None for a memory that keeps everything.
    """

    base: WatchSettings
    alphas: tuple[float, ...] = ()
    budgets: tuple[int | None, ...] = ()

    @property
    def variants(self) -> tuple[WatchSettings, ...]:
        """Everything to watch a clip with: the base, then the alphas, then the budgets.

        Raises:
            ValueError: an alpha or a budget is out of range.
        """
        return (self.base, *map(self._with_alpha, self.alphas), *map(self._with_budget, self.budgets))

    def curves(self, watched: Sequence[Sequence[Watched]]) -> dict[str, list[Point]]:
        """The curves that were asked for, by name.

        Args:
            watched: for every clip what was watched with each of the variants.
        """
        columns = [score(clips).rounded() for clips in zip(*watched, strict=True)][1:]
        alphas, budgets = columns[: len(self.alphas)], columns[len(self.alphas) :]
        curves = {
            "alpha_curve": [{"alpha": a, **row} for a, row in zip(self.alphas, alphas, strict=True)],
            "memory_curve": [
                {"max_trunk_tokens": n, **row} for n, row in zip(self.budgets, budgets, strict=True)
            ],
        }
        return {name: points for name, points in curves.items() if points}

    def _with_alpha(self, alpha: float) -> WatchSettings:
        stream = replace(self.base.stream, gate=GateSettings(alpha))
        return replace(self.base, stream=stream, tasks=self.base.tasks & {Task.RNG, Task.FDQ})

    def _with_budget(self, max_trunk_tokens: int | None) -> WatchSettings:
        if max_trunk_tokens is None:
            return replace(self.base, memory=MemoryChoice.KEEP_EVERYTHING)
        return replace(self.base, stream=replace(self.base.stream, max_trunk_tokens=max_trunk_tokens))
