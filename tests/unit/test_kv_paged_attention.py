"""Attention over cache rows equals attention over the plain sequence, by the plain path and by the fast one.

Shape suffixes: L layers, T tokens, N query heads, K kv heads, H head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.kv import frame_content
from livestar.kv import (
    Chunk,
    Content,
    FoldedAttend,
    PagedAttend,
    PagePool,
    Segment,
    SegmentKind,
    Trunk,
    folded_attention,
)
from livestar.kv.folded_attention import runs_of
from livestar.model import Attend, DenseAttend

pytestmark = pytest.mark.unit

NUM_LAYERS = 2


@dataclass(frozen=True)
class Heads:
    """Grouped queries: `num_kv` heads of keys, each for `groups` heads of queries."""

    num_kv: int
    groups: int
    width: int

    def pool(self, num_pages: int, page_size: int = 4, dtype: torch.dtype = torch.float32) -> PagePool:
        return PagePool(
            num_layers=NUM_LAYERS,
            num_kv_heads=self.num_kv,
            head_dim=self.width,
            num_pages=num_pages,
            page_size=page_size,
            dtype=dtype,
        )

    def qkv(self, num_tokens: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Random q [L, T, N, H], k and v [L, T, K, H] of a sequence."""
        generator = torch.Generator().manual_seed(seed)
        sizes = (self.num_kv * self.groups, self.num_kv, self.num_kv)
        q_LTNH, k_LTKH, v_LTKH = (
            torch.randn(NUM_LAYERS, num_tokens, size, self.width, generator=generator) for size in sizes
        )
        return q_LTNH, k_LTKH, v_LTKH


Sequence3 = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
AnyHeads = st.builds(Heads, st.integers(1, 4), st.integers(1, 4), st.sampled_from([2, 8, 16]))
Sizes = st.lists(st.integers(1, 9), min_size=1, max_size=4)


def cut(sequence: Sequence3, start: int, end: int) -> Sequence3:
    q, k, v = (x[:, start:end] for x in sequence)
    return q, k, v


def join(*sequences: Sequence3) -> Sequence3:
    q, k, v = (torch.cat(parts, dim=1) for parts in zip(*sequences, strict=True))
    return q, k, v


def paged(pool: PagePool, chunks: Sequence[Chunk], packed: Sequence3) -> torch.Tensor:
    """Output [L, T, N, H] of one pass of the plain path, to which the fast one is equal."""
    plain, fast = (_output(attend(pool, chunks), packed) for attend in (PagedAttend, FoldedAttend))
    tolerance = 1e-5 if plain.dtype == torch.float32 else 0.03
    torch.testing.assert_close(fast, plain, atol=tolerance, rtol=tolerance)
    return plain


def _output(attend: Attend, packed: Sequence3) -> torch.Tensor:
    return torch.stack([attend(layer, *(x[layer] for x in packed)) for layer in range(NUM_LAYERS)])


def dense(sequence: Sequence3, num_last: int) -> torch.Tensor:
    """Output [L, T, N, H] of the last rows of a sequence that is computed as a whole."""
    attend = DenseAttend()
    outputs = [attend(layer, *(x[layer] for x in sequence)) for layer in range(NUM_LAYERS)]
    return torch.stack(outputs)[:, -num_last:]


def text(num_rows: int) -> Content:
    return Content.text(range(num_rows))


def take_staged(trunk: Trunk) -> Chunk:
    chunk = trunk.take_staged()
    assert chunk is not None
    return chunk


def fragment(trunk: Trunk, num_pages: int, seed: int) -> None:
    """Leaves the trunk empty, and its pages with random holes: the next rows are scattered."""
    rows = trunk.allocator.take(num_pages * trunk.allocator.pool.page_size)
    shuffled = np.random.default_rng(seed).permutation(rows)
    keep = np.unique(rows // trunk.allocator.pool.page_size, return_index=True)[1]
    trunk.allocator.release(shuffled[~np.isin(shuffled, rows[keep])])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(heads=AnyHeads, sizes=Sizes, seed=st.integers(0, 99), scattered=st.booleans())
def test_chunk_after_chunk_equals_the_whole_sequence(
    heads: Heads, sizes: list[int], seed: int, scattered: bool
) -> None:
    trunk = Trunk(heads.pool(32))
    if scattered:
        fragment(trunk, 12, seed)
    sequence, end = heads.qkv(sum(sizes), seed), 0
    for size in sizes:
        trunk.append([Segment(SegmentKind.CAPTION, text(size))])
        chunk = take_staged(trunk)
        start, end = end, end + size
        output = paged(trunk.allocator.pool, [chunk], cut(sequence, start, end))
        torch.testing.assert_close(output, dense(cut(sequence, 0, end), size), atol=1e-5, rtol=1e-5)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(heads=AnyHeads, streams=st.lists(Sizes, min_size=2, max_size=4), seed=st.integers(0, 99))
def test_streams_that_share_a_pass_do_not_see_each_other(
    heads: Heads, streams: list[list[int]], seed: int
) -> None:
    """And several chunks of one stream in one pass see each other in order."""
    pool = heads.pool(64)
    sequences = [heads.qkv(sum(sizes), seed + index) for index, sizes in enumerate(streams)]
    chunks: list[Chunk] = []
    for sizes in streams:
        trunk = Trunk(pool)
        trunk.append([Segment(SegmentKind.CAPTION, text(size)) for size in sizes])
        chunks += [chunk for _ in sizes if (chunk := trunk.take_staged(max_rows=1))]
    output = paged(pool, chunks, join(*sequences))
    expected = [dense(sequence, sum(sizes)) for sequence, sizes in zip(sequences, streams, strict=True)]
    torch.testing.assert_close(output, torch.cat(expected, dim=1), atol=1e-5, rtol=1e-5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    heads=AnyHeads,
    num_context=st.integers(0, 20),
    branch_sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_a_frame_and_the_branches_on_top_of_it_share_a_pass(
    heads: Heads, num_context: int, branch_sizes: list[int], seed: int
) -> None:
    """One branch more stands below the frame, as a question does while the frame is under verification."""
    trunk = Trunk(heads.pool(48))
    pool = trunk.allocator.pool
    fragment(trunk, 20, seed)
    context = heads.qkv(num_context, seed)
    if num_context:
        trunk.append([Segment(SegmentKind.PREAMBLE, text(num_context))])
        paged(pool, [take_staged(trunk)], context)
    trunk.append([Segment(SegmentKind.FRAME, frame_content(1, [7], [8, 9]), frame=1)])
    branches = [*(trunk.branch() for _ in branch_sizes), trunk.branch(without_last=1)]
    chunks = [branch.extend(text(size)) for branch, size in zip(branches, [*branch_sizes, 5], strict=True)]
    frame_chunk = take_staged(trunk)
    frame = heads.qkv(len(frame_chunk), seed + 1)
    fed = [heads.qkv(len(chunk), seed + 2 + index) for index, chunk in enumerate(chunks)]
    below = [*(join(context, frame) for _ in branch_sizes), context]

    output = paged(pool, [frame_chunk, *chunks], join(frame, *fed))

    expected = [dense(join(context, frame), len(frame_chunk))]
    expected += [dense(join(base, own), len(own[0][0])) for base, own in zip(below, fed, strict=True)]
    torch.testing.assert_close(output, torch.cat(expected, dim=1), atol=1e-5, rtol=1e-5)


def test_a_branch_that_is_truncated_goes_on_from_what_is_left() -> None:
    heads = Heads(2, 2, 8)
    trunk = Trunk(heads.pool(8))
    pool = trunk.allocator.pool
    branch = trunk.branch()
    first, second = heads.qkv(6, 1), heads.qkv(3, 2)
    paged(pool, [branch.extend(text(6))], first)
    branch.truncate(2)
    output = paged(pool, [branch.extend(text(3))], second)
    torch.testing.assert_close(output, dense(join(cut(first, 0, 2), second), 3))


def test_what_is_not_visible_does_not_matter() -> None:
    """Every row outside the chunk's context may hold anything."""
    heads = Heads(2, 2, 8)
    trunk = Trunk(heads.pool(8))
    pool = trunk.allocator.pool
    pool.keys_LRKH.fill_(torch.nan)
    pool.values_LRKH.fill_(torch.nan)
    trunk.append([Segment(SegmentKind.CAPTION, text(5))])
    chunk = take_staged(trunk)
    assert torch.isfinite(paged(pool, [chunk], heads.qkv(5, 0))).all()


def test_bfloat16_stays_close_to_float32() -> None:
    heads = Heads(2, 4, 16)
    sequence = heads.qkv(40, 0)
    trunk = Trunk(heads.pool(16, dtype=torch.bfloat16))
    trunk.append([Segment(SegmentKind.CAPTION, text(40))])
    chunk = take_staged(trunk)
    q, k, v = (x.bfloat16() for x in sequence)
    output = paged(trunk.allocator.pool, [chunk], (q, k, v))
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), dense(sequence, 40), atol=0.03, rtol=0.03)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(heads=AnyHeads, num_context=st.integers(0, 20), size=st.integers(1, 9), seed=st.integers(0, 99))
def test_bfloat16_products_stay_close_to_the_fused_kernel(
    heads: Heads, num_context: int, size: int, seed: int
) -> None:
    context, new = (tuple(x.bfloat16() for x in heads.qkv(n, seed + n)) for n in (num_context, size))
    trunk = Trunk(heads.pool(16, dtype=torch.bfloat16))
    if num_context:
        trunk.append([Segment(SegmentKind.PREAMBLE, text(num_context))])
        paged(trunk.allocator.pool, [take_staged(trunk)], context)
    chunk = trunk.branch().extend(text(size))
    products = _output(FoldedAttend(trunk.allocator.pool, [chunk]), new)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folded_attention, "MAX_SCORES", 0)
        fused = _output(FoldedAttend(trunk.allocator.pool, [chunk]), new)
    torch.testing.assert_close(products, fused, atol=0.03, rtol=0.03)


def test_chunks_are_joined_only_where_one_continues_the_other() -> None:
    pool = Heads(1, 1, 2).pool(32)
    streams = [Trunk(pool), Trunk(pool)]
    chunks = []
    for trunk in streams:
        trunk.append([Segment(SegmentKind.PREAMBLE, text(3)), Segment(SegmentKind.FRAME, text(5), frame=1)])
        first, second, below = trunk.branch(), trunk.branch(), trunk.branch(without_last=1)
        branches = [branch.extend(text(2)) for branch in (first, second, below)]
        chunks += [take_staged(trunk), *branches]
    runs = runs_of(chunks)
    assert [run.size for run in runs] == [8 + 2, 2, 2] * 2
    assert [len(run.visible) for run in runs] == [8 + 2, 8 + 2, 3 + 2] * 2
