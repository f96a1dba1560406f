"""The judge of captions as the command line knows it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from rich.console import Console, RenderableType
from rich.text import Text

from livestar.client.plain_text import printable
from livestar.core.errors import InvalidInput
from livestar.evaluation.judge import Judge, JudgeSettings, NotJudged, judge_report
from livestar.evaluation.judge_prompt import Pairs

KEY_VARIABLE = "LIVESTAR_JUDGE_API_KEY"


@dataclass(frozen=True)
class JudgeOption:
    """The judge that a user asked for."""

    judge: Judge
    model: str

    @classmethod
    def of(cls, url: str | None, model: str | None) -> Self | None:
        """The judge of `--judge-url` and `--judge-model`, its key from the environment; None when neither is given.

        Raises:
            InvalidInput: only one of them is given, or the URL is none.
            FailedPrecondition: the package for it is not installed.
        """
        if url is None and model is None:
            return None
        if url is None or model is None:
            raise InvalidInput("--judge-url and --judge-model belong together: give both")
        settings = JudgeSettings(url, model, os.environ.get(KEY_VARIABLE) or None)
        return cls(Judge(settings), model)

    def report(self, videos: Mapping[str, Pairs]) -> tuple[dict[str, object], list[RenderableType]]:
        """Judges videos; the result as JSON has it, and as lines for a terminal."""
        with Console(stderr=True).status("judging …"):
            judged = self.judge.judge(videos)
        report = judge_report(self.model, judged)
        counted = f"{report['videos']} of {len(judged)} videos judged"
        line = f"Judge {self.model}: SemCor {report['sem_cor']}, SumFluen {report['sum_fluen']} (of 10); {counted}"
        reasons = [f"  {name}: {o.reason}" for name, o in judged.items() if isinstance(o, NotJudged)]
        return {"judge": report}, [Text(printable(text)) for text in (line, *reasons)]
