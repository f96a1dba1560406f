"""The gate: has the held caption become perplexing enough to speak?

Source: LiveStar, response-silence decoding (SVeD): speak iff PPL_new > alpha * PPL_ref, that is iff the mean token NLL has
risen by more than ln(alpha). The other rules are ours and off by default.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from livestar.core.decision import Action, Rule

NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class GateSettings:
    """When a channel speaks.

    Attributes:
        alpha: sensitivity, at least 1; larger means fewer responses.
        min_gap_s: after speaking, stay silent for this long.
        hysteresis: one exceedance is not enough, unless it is beyond 2 ln(alpha); two in a row are.
        max_silence_s: speak again after this long, whatever the perplexity. None: never.
    """

    alpha: float = 1.03
    min_gap_s: float = 0.0
    hysteresis: bool = False
    max_silence_s: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.alpha) and self.alpha >= 1):
            raise ValueError(f"alpha is at least 1, not {self.alpha}")
        if not self.min_gap_s >= 0:
            raise ValueError(f"min_gap_s is at least 0, not {self.min_gap_s}")
        if self.max_silence_s is not None and not self.max_silence_s > max(self.min_gap_s, 0):
            raise ValueError(f"max_silence_s is more than min_gap_s, not {self.max_silence_s}")


@dataclass(frozen=True)
class Verdict:
    """What the gate says, and by which rule."""

    action: Action
    rule: Rule


class Gate:
    """The gate of one channel. Its state is small and public, so that a session can be saved and restored.

    Attributes:
        settings: when it speaks.
        spoke_pts_ns: when it last spoke; None before the first time.
        exceeded: whether the previous frame exceeded the threshold and the gate stayed silent.
    """

    def __init__(self, settings: GateSettings) -> None:
        self.settings = settings
        self.spoke_pts_ns: int | None = None
        self.exceeded = False

    def judge(self, nll: float, reference_nll: float, pts_ns: int) -> Verdict:
        """Judges one frame and remembers what the next judgement needs.

        Args:
            nll: mean NLL of the held caption now, nats per token.
            reference_nll: the same when it was spoken.
            pts_ns: presentation time of the frame.
        """
        verdict = self._verdict(nll - reference_nll, pts_ns)
        self.exceeded = verdict.rule in (Rule.UNCONFIRMED, Rule.MIN_GAP)
        return verdict

    def spoke(self, pts_ns: int) -> None:
        """Notes that the channel spoke. A text that failed does not count, so that it is tried again at the next frame."""
        self.spoke_pts_ns = pts_ns

    def _verdict(self, rise: float, pts_ns: int) -> Verdict:
        settings, margin = self.settings, math.log(self.settings.alpha)
        silent_s = math.inf if self.spoke_pts_ns is None else (pts_ns - self.spoke_pts_ns) / NS_PER_S
        if not math.isfinite(rise):
            return Verdict(Action.SPEAK, Rule.NOT_FINITE)
        if settings.max_silence_s is not None and silent_s >= settings.max_silence_s:
            return Verdict(Action.SPEAK, Rule.MAX_SILENCE)
        if rise <= margin:
            return Verdict(Action.SILENT, Rule.HOLDS)
        if silent_s < settings.min_gap_s:
            return Verdict(Action.SILENT, Rule.MIN_GAP)
        if settings.hysteresis and not self.exceeded and rise <= 2 * margin:
            return Verdict(Action.SILENT, Rule.UNCONFIRMED)
        return Verdict(Action.SPEAK, Rule.PERPLEXITY)
