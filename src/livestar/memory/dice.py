"""Dice without memory: a throw depends only on what it is thrown for."""

from __future__ import annotations

from hashlib import blake2b


def throw(seed: int, *occasion: int) -> float:
    """Returns a number in [0, 1): the same for the same seed and occasion, on every machine."""
    digest = blake2b(repr((seed, *occasion)).encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53
