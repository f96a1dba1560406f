"""A language model as judge of captions, behind any endpoint that speaks OpenAI's chat completions (extra `judge`).

Two requests a video, with temperature 0. Every attempt and every video has a deadline; what cannot be had is said and not
counted. Reasons never quote the endpoint, which may repeat the key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any
from urllib.parse import urlsplit

from livestar.core.errors import InvalidInput
from livestar.evaluation.judge_prompt import RUBRICS, Dimension, Pairs, Rubric
from livestar.evaluation.optional_package import require

NO_KEY = "none"
"""Sent where there is no key: endpoints on one's own machine mostly want none."""


@dataclass(frozen=True)
class JudgeSettings:
    """Which judge, and how long to wait for it.

    Attributes:
        url: of the endpoint, up to and without `/chat/completions`.
        model: name that the endpoint knows.
        api_key: secret; kept out of every message and of `repr`.
        attempts: requests that are made for one answer, at most.
        attempt_timeout_s: a request that takes longer is given up.
        video_timeout_s: all requests and pauses of a video together.
        pause_s: before the second attempt; twice as long before each further one.
        concurrent: videos that are judged at a time.

    Raises:
        InvalidInput: the URL is not one of http or https, or a number is out of range.
    """

    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    attempts: int = 3
    attempt_timeout_s: float = 60.0
    video_timeout_s: float = 300.0
    pause_s: float = 1.0
    concurrent: int = 4

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput("the judge's URL begins with http:// or https:// and names a host")
        if not self.model:
            raise InvalidInput("the judge's model has a name: give one that the endpoint knows")
        if min(self.attempts, self.concurrent) < 1 or min(self.attempt_timeout_s, self.video_timeout_s) <= 0:
            raise InvalidInput("attempts, concurrent and timeouts of the judge are more than 0")


@dataclass(frozen=True)
class NotJudged:
    """Why there is no judgement of a video."""

    reason: str


Judgement = dict[Dimension, float]


class Judge:
    """Judges what was said over videos.

    Raises:
        FailedPrecondition: the package `openai` is not installed.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        self._settings = settings
        self._openai: Any = require("openai", "judge")

    def judge(self, videos: Mapping[str, Pairs]) -> dict[str, Judgement | NotJudged]:
        """Judges videos by their names; one over which nothing was said has 0 in everything, unasked."""
        return asyncio.run(self._judge_all(videos))

    async def _judge_all(self, videos: Mapping[str, Pairs]) -> dict[str, Judgement | NotJudged]:
        settings, places = self._settings, asyncio.Semaphore(self._settings.concurrent)
        client = self._openai.AsyncOpenAI(
            base_url=settings.url, api_key=settings.api_key or NO_KEY, max_retries=0,
            timeout=settings.attempt_timeout_s,
        )  # fmt: skip
        # Taken from the environment for OpenAI's own endpoint: not this one's business.
        client.organization = client.project = client.admin_api_key = None

        async def judged(pairs: Pairs) -> Judgement | NotJudged:
            async with places:
                return await self._judge_one(client, pairs)

        async with client:
            found = await asyncio.gather(*map(judged, videos.values()))
        return dict(zip(videos, found, strict=True))

    async def _judge_one(self, client: Any, pairs: Pairs) -> Judgement | NotJudged:
        if not pairs:
            return NotJudged("there is nothing that should have been said")
        if not any(said.strip() for _, said in pairs):
            return {dimension: 0.0 for rubric in RUBRICS for dimension in rubric.dimensions}
        scores: Judgement = {}
        try:
            async with asyncio.timeout(self._settings.video_timeout_s):
                for rubric in RUBRICS:
                    scores |= await self._ask(client, rubric, pairs)
        except _NoAnswerError as error:
            return NotJudged(str(error))
        except TimeoutError:
            return NotJudged(f"no judgement within {self._settings.video_timeout_s:g} s")
        return scores

    async def _ask(self, client: Any, rubric: Rubric, pairs: Pairs) -> Judgement:
        """Asks until an answer can be read, or it makes no sense to ask again."""
        settings, reason = self._settings, ""
        for attempt in range(settings.attempts):
            if attempt:
                await asyncio.sleep(settings.pause_s * 2 ** (attempt - 1))
            try:
                # Beside the client's own limit, which starts anew with every byte that drips in.
                async with asyncio.timeout(settings.attempt_timeout_s):
                    return rubric.read(await self._complete(client, rubric.messages(pairs)))
            except (TimeoutError, self._openai.APITimeoutError):
                reason = f"no answer within {settings.attempt_timeout_s:g} s"
            except self._openai.APIStatusError as error:
                reason = f"the endpoint answers with HTTP {error.status_code}"
                if error.status_code < 500 and error.status_code not in _WORTH_ANOTHER_TRY:
                    raise _NoAnswerError(reason) from error
            except self._openai.APIConnectionError:
                reason = "the endpoint cannot be reached"
            except (self._openai.OpenAIError, ValueError, TypeError, AttributeError, IndexError):
                reason = "the answer does not keep to the form"
        raise _NoAnswerError(f"{reason}, {settings.attempts} times in a row")

    async def _complete(self, client: Any, messages: list[dict[str, str]]) -> str:
        completion = await client.chat.completions.create(
            model=self._settings.model, messages=messages, temperature=0
        )
        text = completion.choices[0].message.content
        if not isinstance(text, str):
            raise TypeError("an answer is text")
        return text


def judge_report(model: str, judged: Mapping[str, Judgement | NotJudged]) -> dict[str, object]:
    """Means over the videos that were judged, 0 to 10, as JSON has them."""
    scored = [scores for scores in judged.values() if not isinstance(scores, NotJudged)]
    means = {
        rubric.key: _mean([fmean(scores[name] for name in rubric.dimensions) for scores in scored])
        for rubric in RUBRICS
    }
    dimensions = {name.key: _mean([scores[name] for scores in scored]) for name in Dimension}
    return {
        "model": model,
        **means,
        "dimensions": dimensions,
        "videos": len(scored),
        "not_judged": [
            {"name": name, "reason": outcome.reason}
            for name, outcome in judged.items()
            if isinstance(outcome, NotJudged)
        ],
    }


def _mean(values: list[float]) -> float | None:
    return round(fmean(values), 4) if values else None


class _NoAnswerError(Exception):
    """The judge's answer cannot be had; the message says why."""


_WORTH_ANOTHER_TRY = (408, 409, 425, 429)
