"""How close the narration came to speaking, frame by frame, as a row of bars."""

from __future__ import annotations

import math
from collections import deque

from rich.text import Text

from livestar.core.decision import Action, Decision, Rule

BARS = "▁▂▃▄▅▆▇"
EXCEEDED = "█"
NOT_FINITE = "!"
HISTORY = 64


class Sparkline:
    """The rise of the held caption's NLL as a share of what the gate allows, ln(alpha); the newest frame is on the right.

    A full bar is beyond the threshold. Colours repeat what height says: green spoke, yellow was held back by another rule.
    """

    def __init__(self) -> None:
        self._bars: deque[tuple[str, str]] = deque(maxlen=HISTORY)

    def add(self, decision: Decision) -> None:
        """Takes the decision of a frame in."""
        self._bars.append((_bar(decision), _style(decision)))

    def render(self, width: int) -> Text:
        """The last `width` frames, padded on the right."""
        shown = list(self._bars)[-width:] if width > 0 else []
        return Text.assemble(*shown, " " * (width - len(shown)))


def _bar(decision: Decision) -> str:
    if decision.rule is Rule.FIRST:
        return EXCEEDED
    rise, allowed = decision.nll - decision.reference_nll, math.log(decision.alpha)
    if not math.isfinite(rise):
        return NOT_FINITE
    if rise > allowed:
        return EXCEEDED
    share = rise / allowed if allowed > 0 else 0.0
    return BARS[round(max(share, 0.0) * (len(BARS) - 1))]


def _style(decision: Decision) -> str:
    if decision.rule is Rule.NOT_FINITE:
        return "bold red"
    if decision.action is Action.SPEAK:
        return "bold green"
    return "cyan" if decision.rule is Rule.HOLDS else "yellow"
