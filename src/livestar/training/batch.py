"""Packed sequences side by side: what one step of training feeds.

Shape suffixes: B sequences, T padded tokens, F frames of the batch, S scored rows, L leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from livestar.training.packing import Sample
from livestar.training.scam import IGNORED

BLOCK = 128
"""Sequences are padded to a multiple of this, the tile of FlexAttention."""

Batch = dict[str, Tensor]
"""See `collate`."""

NETWORK_INPUTS = (
    "ids_BT",
    "positions_BT",
    "vis_until_BT",
    "frames_FHW3",
    "visual_rows",
    "scored_rows_S",
    "targets_S",
)
"""The part of a batch that the network takes."""


@dataclass(frozen=True, eq=False)
class ShownSample:
    """A sample with the pictures of its frames, each uint8 [H, W, 3], in the order of `sample.shown`."""

    sample: Sample
    frames: tuple[NDArray[np.uint8], ...]


@dataclass(frozen=True)
class Collate:
    """Pads and joins samples.

    Padding rows see the trunk and themselves, nothing sees them, and none is scored.

    Args:
        img_context_id: placeholder of one visual token.
        pad_id: any id of the vocabulary.
        num_tokens: T; None takes the longest sample, rounded up to `BLOCK`. Equal shapes spare recompilation.
    """

    img_context_id: int
    pad_id: int
    num_tokens: int | None = None

    def __call__(self, samples: Sequence[ShownSample]) -> Batch:
        """Returns ids, positions and vis_until [B, T]; all frames uint8 [F, H, W, 3]; and indices into the B x T rows.

        `visual_rows` [F x 16]: where the visual tokens go. `scored_rows_S`: the rows that predict `targets_S`.
        `leaf_of_S`: index of the leaf; `leaf_kind_L`: its `LeafKind`.

        Raises:
            ValueError: a sample is longer than `num_tokens`.
        """
        frames = [frame for shown in samples for frame in shown.frames]
        return self.texts([shown.sample for shown in samples]) | {"frames_FHW3": joined_frames(frames)}

    def texts(self, packed: Sequence[Sample]) -> Batch:
        """All but the pictures.

        Raises:
            ValueError: a sample is longer than `num_tokens`.
        """
        longest = max(len(sample.ids) for sample in packed)
        num_tokens = self.num_tokens or -(-longest // BLOCK) * BLOCK
        if longest > num_tokens:
            raise ValueError(f"a sample of {longest} tokens does not fit into {num_tokens}")
        ids_BT = torch.stack([_padded(s.ids, num_tokens, self.pad_id) for s in packed])
        labels_BT = torch.stack([_padded(s.labels, num_tokens, IGNORED) for s in packed])
        own_T = torch.arange(num_tokens)
        vis_BT = torch.stack([torch.cat((s.vis_until, own_T[len(s.vis_until) :])) for s in packed])
        # No sample begins with a scored token, so the row before one is in the same sample.
        scored_S = (labels_BT.flatten() != IGNORED).nonzero().flatten()
        sizes_L = torch.cat([s.leaf_sizes for s in packed])
        return {
            "ids_BT": ids_BT.int(),
            "positions_BT": torch.stack([_padded(s.position_ids, num_tokens, 0) for s in packed]).int(),
            "vis_until_BT": vis_BT.int(),
            "visual_rows": (ids_BT.flatten() == self.img_context_id).nonzero().flatten(),
            "scored_rows_S": scored_S - 1,
            "targets_S": labels_BT.flatten()[scored_S],
            "leaf_of_S": torch.repeat_interleave(torch.arange(len(sizes_L)), sizes_L),
            "leaf_kind_L": torch.cat([s.leaves for s in packed]),
        }


def joined_frames(frames: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Pictures of one size, uint8 [F, H, W, 3]."""
    return torch.from_numpy(np.stack(frames))


def _padded(x_N: Tensor, num_tokens: int, value: int) -> Tensor:
    return F.pad(x_N, (0, num_tokens - len(x_N)), value=value)
