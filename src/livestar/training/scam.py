"""SCAM, streaming causal attention masks: every frame of one sequence learns its caption, and none leaks.

A training sequence is a *trunk* (system block, frames) with *leaves* hanging off it: blocks that see the
trunk before them and themselves, and that nothing after them sees. A forward pass over it trains one
independent prediction per leaf. Leaves take positions of their own beside the trunk's, so the trunk reads
as if they were not there.

Shape legend: N tokens of the sequence; Q queries (rows); C columns (keys).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

import torch
from torch import Tensor

FOREVER = 2**31 - 1
"""`vis_until` of a column that stays visible; beyond any sequence, and still an int32."""

IGNORED = -100
"""Label of a token that is not scored."""

ScamVariant = Literal["released", "paper"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of `num_tokens` tokens of a training sequence.

    A *leaf* is any block that hangs off the trunk: a whole caption turn, or a question together with its
    answer. `clip` is the semantic clip that the segment belongs to. Frames and captions carry it; without
    it a leaf never becomes terminal.

    Raises:
        ValueError: the segment is empty.
    """

    kind: Literal["trunk", "leaf"]
    num_tokens: int
    clip: int | None = None

    def __post_init__(self) -> None:
        if self.num_tokens < 1:
            raise ValueError(f"a segment holds at least one token, not {self.num_tokens}")


@dataclass(frozen=True, slots=True, eq=False)
class ScamLayout:
    """Who sees whom, and where.

    `vis_until` int64[N]: column c is visible to the rows c..vis_until[c]. `position_ids` int64[N]: rotary
    positions.
    """

    vis_until: Tensor
    position_ids: Tensor


def scam_layout(segments: Sequence[Segment], variant: ScamVariant) -> ScamLayout:
    """Lays out a training sequence.

    `released`: every leaf is hidden from all that follows it.

    `paper`: the caption that ends a clip joins the trunk, so that later clips see it. It ends a clip when
    it is the last segment of its clip: a clip that is cut off after a frame has no terminal caption yet.
    Nothing of its own clip follows a terminal caption, so "visible from the next clip on" and "visible from
    here on" are the same. Its rows have the positions that they would have as a leaf, the ones right after
    the last trunk token; only now they are used up, and the next clip continues behind them. Earlier
    captions of the clip stay leaves.

    Source: LiveStar (arXiv 2511.05299), streaming causal attention masks; `released` and both position
        rules follow its published training code, which consumes no positions for leaves.

    Raises:
        ValueError: clips fall along the sequence.
    """
    clips = [segment.clip for segment in segments if segment.clip is not None]
    if any(a > b for a, b in pairwise(clips)):
        raise ValueError("clips never fall along a training sequence")
    ends = list(accumulate(segment.num_tokens for segment in segments))
    last_of_clip = {segment.clip: i for i, segment in enumerate(segments) if segment.clip is not None}
    terminal = set(last_of_clip.values()) if variant == "paper" else set()
    leaves = (
        (end - segment.num_tokens, end)
        for i, (segment, end) in enumerate(zip(segments, ends, strict=True))
        if segment.kind == "leaf" and i not in terminal
    )
    return _lay_out(ends[-1] if ends else 0, leaves)


def layout_from_labels(labels_N: Tensor) -> ScamLayout:
    """Lays out a sequence from its labels alone, as the published training code does.

    A token is hidden when any label from the one before it to the fourth after it is scored: around a
    caption that is its turn, from the four header tokens to the newline. Equals `scam_layout(...,
    "released")` where trunk tokens part the captions; touching captions would melt into one leaf.

    Args:
        labels_N: int64[N], -100 where a token is not scored.

    Source: LiveStar (arXiv 2511.05299), published training code.
    """
    scored = torch.nn.functional.pad((labels_N != IGNORED).long(), (1, 4))
    hidden = scored.unfold(0, 6, 1).amax(dim=1) if labels_N.numel() else scored[:0]
    edges = torch.nn.functional.pad(hidden, (1, 1)).diff()
    starts, ends = (edges == 1).nonzero().flatten(), (edges == -1).nonzero().flatten()
    return _lay_out(labels_N.numel(), zip(starts.tolist(), ends.tolist(), strict=True))


def dense_mask(vis_until_N: Tensor) -> Tensor:
    """Returns visible[q, c] as bool[N, N]: c <= q <= vis_until[c]. For reference and tests; O(N²) memory."""
    q_Q1 = torch.arange(vis_until_N.numel(), device=vis_until_N.device)[:, None]
    c_1C = q_Q1.T
    return (c_1C <= q_Q1) & (q_Q1 <= vis_until_N[None, :])


def _lay_out(num_tokens: int, leaves: Iterable[tuple[int, int]]) -> ScamLayout:
    """Builds the layout from half-open leaf spans; every other token is trunk."""
    vis_until_N = torch.full((num_tokens,), FOREVER, dtype=torch.int64)
    depth_N = torch.zeros(num_tokens, dtype=torch.int64)  # 1, 2, 3 … along a leaf
    for start, end in leaves:
        vis_until_N[start:end] = end - 1
        depth_N[start:end] = torch.arange(1, end - start + 1)
    trunk_N = (depth_N == 0).cumsum(0) - 1
    return ScamLayout(vis_until_N, trunk_N + depth_N)
