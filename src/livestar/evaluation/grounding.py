"""Temporal grounding (OTG): at which frames does a query hold, given its likelihood at each?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def find_query(nlls: Sequence[float], below: float | None = None) -> NDArray[np.bool_]:
    """The frames [F] at which a query holds.

    Args:
        nlls: mean NLL of the query at each frame, nats per token.
        below: the query holds at frames whose NLL is lower. Each frame is decided when it comes, without those after it; the
            value belongs to a checkpoint. None looks at the whole clip for two levels of likelihood.
    """
    if below is not None:
        return np.asarray(nlls, dtype=float) < below
    return _two_levels(nlls)


def overlap(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Intersection over union of two sets of frames."""
    return float((found & true).sum() / max(1, (found | true).sum()))


def _two_levels(nlls: Sequence[float]) -> NDArray[np.bool_]:
    """The frames at which a query is likely, told apart from the others where the two differ most.

    The scale is the likelihood per token relative to the clip's best frame, exp(min NLL - NLL): a constant part of the NLL
    drops out, and all that is far from the query comes close together. The cut is the one between two sorted values that
    leaves the largest variance between the two groups (Otsu). It looks at the whole clip, as OmniStar's window search does.
    """
    nll_F = np.asarray(nlls, dtype=float)
    nll_F[~np.isfinite(nll_F)] = math.inf
    if not np.isfinite(nll_F).any():
        return np.zeros(len(nll_F), dtype=bool)
    likely_F = np.exp(nll_F.min() - nll_F)
    rising = np.sort(likely_F)
    below = np.arange(1, len(rising))
    sums = np.cumsum(rising)[:-1]
    gap = (rising.sum() - sums) / (len(rising) - below) - sums / below
    between = below * (len(rising) - below) * gap**2
    if not len(between) or between.max() <= 0:
        return np.ones(len(nll_F), dtype=bool)
    found_F: NDArray[np.bool_] = likely_F >= rising[int(between.argmax()) + 1]
    return found_F
