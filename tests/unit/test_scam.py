from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from livestar.training.scam import (
    FOREVER,
    IGNORED,
    ScamVariant,
    Segment,
    dense_mask,
    layout_from_labels,
    scam_layout,
)

pytestmark = pytest.mark.unit


def trunk(num_tokens: int, clip: int | None = None) -> Segment:
    return Segment("trunk", num_tokens, clip)


def leaf(num_tokens: int, clip: int | None = None) -> Segment:
    return Segment("leaf", num_tokens, clip)


# Two clips of two frames, a question with its answer in the first; one digit per token in the tables below.
STORY = [trunk(2), trunk(1, 1), leaf(2, 1), trunk(1, 1), leaf(1), leaf(2, 1), trunk(1, 2), leaf(1, 2)]

RELEASED = """
1..........
11.........
111........
1111.......
11111......
111..1.....
111..11....
111..1.1...
111..1.11..
111..1...1.
111..1...11
"""

PAPER = """
1..........
11.........
111........
1111.......
11111......
111..1.....
111..11....
111..1.1...
111..1.11..
111..1.111.
111..1.1111
"""


@pytest.mark.parametrize(
    ("variant", "table", "positions"),
    [
        ("released", RELEASED, [0, 1, 2, 3, 4, 3, 4, 4, 5, 4, 5]),
        ("paper", PAPER, [0, 1, 2, 3, 4, 3, 4, 4, 5, 6, 7]),
    ],
)
def test_truth_table_of_two_clips(variant: ScamVariant, table: str, positions: list[int]) -> None:
    layout = scam_layout(STORY, variant)
    rows = ["".join("1" if seen else "." for seen in row) for row in dense_mask(layout.vis_until).tolist()]
    assert rows == table.split()
    assert layout.position_ids.tolist() == positions
    assert layout.vis_until.dtype == layout.position_ids.dtype == torch.int64


def test_a_clip_that_breaks_off_after_a_frame_has_no_terminal_caption() -> None:
    segments = [trunk(2), trunk(1, 1), leaf(2, 1), trunk(1, 1)]
    paper, released = scam_layout(segments, "paper"), scam_layout(segments, "released")
    assert torch.equal(paper.vis_until, released.vis_until)
    assert torch.equal(paper.position_ids, released.position_ids)


def test_an_aside_never_joins_the_trunk_and_asides_do_not_see_each_other() -> None:
    layout = scam_layout([trunk(1), leaf(2), leaf(1), trunk(1)], "paper")
    assert layout.vis_until.tolist() == [FOREVER, 2, 2, 3, FOREVER]
    assert layout.position_ids.tolist() == [0, 1, 2, 1, 1]


def test_a_sequence_may_begin_with_a_leaf_or_be_empty() -> None:
    assert scam_layout([leaf(2), trunk(2)], "released").position_ids.tolist() == [0, 1, 0, 1]
    assert dense_mask(scam_layout([], "paper").vis_until).shape == (0, 0)
    assert layout_from_labels(torch.empty(0, dtype=torch.int64)).vis_until.shape == (0,)


def test_clips_that_fall_and_empty_segments_are_refused() -> None:
    with pytest.raises(ValueError, match="never fall"):
        scam_layout([leaf(1, 2), leaf(1, 1)], "paper")
    with pytest.raises(ValueError, match="at least one token"):
        trunk(0)


@st.composite
def stories(draw: st.DrawFn) -> list[Segment]:
    """A system block, then clips of frames, each frame with or without a caption turn behind it."""
    segments = [trunk(draw(st.integers(1, 5)))]
    for clip in range(draw(st.integers(0, 4))):
        for _ in range(draw(st.integers(1, 3))):
            segments.append(trunk(draw(st.integers(1, 6)), clip))
            if draw(st.booleans()):
                segments.append(leaf(draw(st.integers(6, 12)), clip))
    return segments


def labels_of(segments: list[Segment]) -> torch.Tensor:
    """A caption turn is four header tokens, the scored tokens and a newline; nothing else is scored."""
    labels: list[int] = []
    for segment in segments:
        n = segment.num_tokens
        labels += [IGNORED] * n if segment.kind == "trunk" else [IGNORED] * 4 + [5] * (n - 5) + [IGNORED]
    return torch.tensor(labels)


@settings(max_examples=100, deadline=None)
@given(stories())
def test_the_published_box_filter_agrees_with_the_segments(segments: list[Segment]) -> None:
    built, published = scam_layout(segments, "released"), layout_from_labels(labels_of(segments))
    assert torch.equal(built.vis_until, published.vis_until)
    assert torch.equal(built.position_ids, published.position_ids)


@settings(max_examples=100, deadline=None)
@given(segments=stories(), variant=st.sampled_from(["released", "paper"]))
def test_mask_and_positions_follow_their_definition(segments: list[Segment], variant: ScamVariant) -> None:
    owner = [i for i, segment in enumerate(segments) for _ in range(segment.num_tokens)]

    def ends_its_clip(i: int) -> bool:
        return all(later.clip != segments[i].clip for later in segments[i + 1 :])

    def stays(i: int) -> bool:
        return segments[i].kind == "trunk" or (variant == "paper" and ends_its_clip(i))

    layout = scam_layout(segments, variant)
    expected = [
        [c <= q and (stays(owner[c]) or owner[c] == owner[q]) for c in range(len(owner))]
        for q in range(len(owner))
    ]
    assert dense_mask(layout.vis_until).tolist() == expected
    # Every token sees exactly the positions 0, 1, …, its own: no gap and no overlap.
    for q, row in enumerate(expected):
        seen = [int(layout.position_ids[c]) for c, visible in enumerate(row) if visible]
        assert seen == list(range(int(layout.position_ids[q]) + 1))
