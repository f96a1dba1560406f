"""Generation: one caption or answer on a branch, a token at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from livestar.core.decision import Ending
from livestar.engine.steps import Steps, run
from livestar.kv import Branch, Content, Sampling


@dataclass(frozen=True)
class SpeechSettings:
    """How a text is generated.

    Attributes:
        stop_id: the id that ends it.
        max_tokens: it is closed here if it has not ended.
        repetition_penalty: over the tokens of this text only.
        forbidden: ids that may never be chosen (control and image tokens).
        score_stop: whether the likelihood of the stop token is wanted when the text is closed at the limit.
    """

    stop_id: int
    max_tokens: int
    repetition_penalty: float
    forbidden: tuple[int, ...] = ()
    score_stop: bool = True


@dataclass(frozen=True)
class Speech:
    """A generated text.

    Attributes:
        ids: token ids, without the stop token.
        mean_nll: mean NLL of ids and stop token under the unpenalised distribution, nats; NaN when the stop token was not
            scored.
        ending: how it ended.
    """

    ids: tuple[int, ...]
    mean_nll: float
    ending: Ending

    @property
    def finished(self) -> bool:
        """Whether it may be held: it came to an end, or was closed at the limit."""
        return self.ending in (Ending.COMPLETE, Ending.TRUNCATED)


def speak(
    branch: Branch,
    prompt: Content,
    settings: SpeechSettings,
    *,
    on_token: Callable[[int], None],
    cancelled: Callable[[], bool],
) -> Steps[Speech]:
    """Generates greedily on a branch, from `prompt` (its last row gives the first token) to the stop token.

    An empty text is tried once more with the stop token forbidden at the first place; logits that are not finite end it as
    DEGRADED. The branch afterwards holds the prompt and the fed ids.
    """
    start = len(branch)
    speech = yield from _generate(branch, prompt, settings, on_token, cancelled, may_be_empty=True)
    if speech.ending is Ending.COMPLETE and not speech.ids:
        branch.truncate(start)
        speech = yield from _generate(branch, prompt, settings, on_token, cancelled, may_be_empty=False)
    return speech


def _generate(
    branch: Branch,
    prompt: Content,
    settings: SpeechSettings,
    on_token: Callable[[int], None],
    cancelled: Callable[[], bool],
    *,
    may_be_empty: bool,
) -> Steps[Speech]:
    ids: list[int] = []
    total_nll = 0.0
    content = prompt
    while True:
        forbidden = settings.forbidden if ids or may_be_empty else (*settings.forbidden, settings.stop_id)
        sampling = Sampling(tuple(ids), settings.repetition_penalty, forbidden)
        score = yield from run(branch.extend(content, sampling=sampling))
        if cancelled():
            return Speech(tuple(ids), math.nan, Ending.CANCELLED)
        if score.token is None:
            return Speech(tuple(ids), math.nan, Ending.DEGRADED)
        total_nll += score.token_nll
        if score.token == settings.stop_id:
            return Speech(tuple(ids), total_nll / (len(ids) + 1), Ending.COMPLETE)
        ids.append(score.token)
        on_token(score.token)
        content = Content.text([score.token])
        if len(ids) == settings.max_tokens:
            break
    if settings.score_stop:
        score = yield from run(branch.extend(content, targets=(settings.stop_id,)))
        total_nll += float(score.nll[0])
        return Speech(tuple(ids), total_nll / (len(ids) + 1), Ending.TRUNCATED)
    return Speech(tuple(ids), math.nan, Ending.TRUNCATED)
