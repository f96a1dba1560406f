"""The streaming KV cache: pages, an append-only trunk, and branches that are thrown away.

One owner per resource: `PagePool` owns the memory, `RowAllocator` the rows of one stream, `Trunk` what those rows mean.
"""

from livestar.kv.allocator import RowAllocator
from livestar.kv.branch import Branch
from livestar.kv.chunk import Chunk, Content, Sampling, Score, VisualSpan
from livestar.kv.folded_attention import FoldedAttend
from livestar.kv.paged_attention import PagedAttend
from livestar.kv.pool import PagePool
from livestar.kv.trunk import PositionPolicy, Segment, SegmentKind, Trunk

__all__ = [
    "Branch",
    "Chunk",
    "Content",
    "FoldedAttend",
    "PagePool",
    "PagedAttend",
    "PositionPolicy",
    "RowAllocator",
    "Sampling",
    "Score",
    "Segment",
    "SegmentKind",
    "Trunk",
    "VisualSpan",
]
