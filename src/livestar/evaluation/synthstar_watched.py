"""What a model said over a clip with known ground truth. Values only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from livestar.evaluation.synth_annotations import ClipAnnotations, TurnRow


class Task(StrEnum):
    """OmniStar's five tasks: narration, standing questions, chains of questions, parallel chains, temporal grounding."""

    RNG = "rng"
    FDQ = "fdq"
    COQ = "coq"
    MIQ = "miq"
    OTG = "otg"


@dataclass(frozen=True, slots=True)
class Said:
    """A caption of the narration and the second of the frame at which it was said."""

    second: int
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, its true answer, and the given one."""

    turn: TurnRow
    given: str


@dataclass(frozen=True, slots=True)
class Forced:
    """How well one true narration is predicted, its stop token included.

    Attributes:
        nll: mean, nats per token.
        right: share of tokens that were the likeliest one.
    """

    nll: float
    right: float

    @property
    def perplexity(self) -> float:
        """exp(nll), finite."""
        return math.exp(min(self.nll, 700.0))


@dataclass(frozen=True)
class Watched:
    """A clip that was watched at one frame a second. What was not done is None or empty.

    Attributes:
        clip: the ground truth.
        num_frames: frames watched: those at 0 s, 1 s …
        busy_s: seconds that seeing, watching and answering took together.
        said: the narration in order; empty when the model kept silent, None when narration is not scored.
        held: for every standing question, the answer that was held after each frame.
        query_nlls: for every grounding query, its mean NLL at each frame, nats per token.
        query_below: the NLL below which a query holds; None where the checkpoint names none, see `find_query`.
        coq: answers to chains that were asked alone.
        miq: answers to chains that were asked side by side.
        forced: the true narrations under teacher forcing.
    """

    clip: ClipAnnotations
    num_frames: int
    busy_s: float
    said: tuple[Said, ...] | None = None
    held: tuple[tuple[str, ...], ...] = ()
    query_nlls: tuple[tuple[float, ...], ...] = ()
    query_below: float | None = None
    coq: tuple[Answered, ...] = ()
    miq: tuple[Answered, ...] = ()
    forced: tuple[Forced, ...] = ()
