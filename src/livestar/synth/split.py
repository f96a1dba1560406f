"""Splits that cannot meet: each owns its own range of seeds, and every clip its own dice."""

from __future__ import annotations

from enum import Enum
from hashlib import blake2b
from random import Random

SEEDS_PER_SPLIT = 2**40


class Split(Enum):
    """What a clip is for; held-out compositions and cameras occur in TEST only."""

    TRAIN = 0
    VAL = 1
    TEST = 2

    @property
    def shows_held_out(self) -> bool:
        """Whether held-out compositions and cameras may occur."""
        return self is Split.TEST

    def global_seed(self, seed: int) -> int:
        """Moves a seed into this split's own range, which no other split reaches.

        Raises:
            ValueError: the seed is negative or 2**40 or more.
        """
        if not 0 <= seed < SEEDS_PER_SPLIT:
            raise ValueError(f"a seed lies in [0, 2**40), not {seed}")
        return self.value * SEEDS_PER_SPLIT + seed


def dice_for(family: str, seed: int, split: Split, purpose: str) -> Random:
    """Returns dice that depend on these four alone, the same in every process."""
    key = f"{family}/{split.global_seed(seed)}/{purpose}"
    return Random(int.from_bytes(blake2b(key.encode(), digest_size=16).digest()))  # noqa: S311 - pictures
