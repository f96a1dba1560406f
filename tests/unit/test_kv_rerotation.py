"""Moving cached keys equals computing them where they go."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from livestar.kv import PagePool
from livestar.kv.rerotation import rerotate
from livestar.model import apply_rotary, rotary_cos_sin, rotate_by

pytestmark = pytest.mark.unit

THETA = 1_000_000.0
WIDTH = 128
FRAME_ROWS = 29


def random_keys(num_rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(num_rows, 2, WIDTH, generator=torch.Generator().manual_seed(seed))


def rotated(keys_TKH: torch.Tensor, positions_T: torch.Tensor) -> torch.Tensor:
    return apply_rotary(keys_TKH, *rotary_cos_sin(positions_T, WIDTH, THETA))


def error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Relative root mean square error, in float64."""
    return float((actual.double() - expected.double()).norm() / expected.double().norm())


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    old=st.lists(st.integers(0, 32_767), min_size=4, max_size=4),
    new=st.lists(st.integers(0, 32_767), min_size=4, max_size=4),
)
def test_a_move_in_float32_equals_computing_at_the_new_position(old: list[int], new: list[int]) -> None:
    """The angle of position 32,767 is itself only known to about 2e-3 in float32; that bounds both."""
    keys, before, after = random_keys(4), torch.tensor(old), torch.tensor(new)
    moved = rotate_by(rotated(keys, before), after - before, THETA)
    assert error(moved, rotated(keys, after)) < 1e-3


def test_a_move_within_the_trained_context_is_as_good_as_float32_can_be() -> None:
    keys, before = random_keys(8000), torch.arange(8000)
    after = torch.arange(8000).flip(0)
    assert error(rotate_by(rotated(keys, before), after - before, THETA), rotated(keys, after)) < 1e-4


def test_the_order_of_moves_does_not_matter() -> None:
    keys = random_keys(4)
    there = rotate_by(rotate_by(keys, torch.full((4,), 700), THETA), torch.full((4,), -29), THETA)
    torch.testing.assert_close(there, rotate_by(keys, torch.full((4,), 671), THETA), atol=1e-3, rtol=0)
    torch.testing.assert_close(rotate_by(keys, torch.zeros(4), THETA), keys)


def test_only_the_given_rows_move_and_values_stay() -> None:
    pool = PagePool(num_layers=3, num_kv_heads=2, head_dim=WIDTH, num_pages=4, page_size=4)
    pool.keys_LRKH.normal_()
    pool.values_LRKH.normal_()
    keys, values = pool.keys_LRKH.clone(), pool.values_LRKH.clone()
    rows, deltas = np.array([9, 2, 5]), np.array([-4, 7, 1])
    rerotate(pool, rows, deltas, THETA)
    expected = keys.clone()
    for row, delta in zip(rows.tolist(), deltas.tolist(), strict=True):
        expected[:, row] = rotate_by(keys[:, row][:, None], torch.tensor([delta]), THETA)[:, 0]
    torch.testing.assert_close(pool.keys_LRKH, expected)
    assert torch.equal(pool.values_LRKH, values)
    rerotate(pool, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), THETA)


def errors_of_moves(dtype: torch.dtype, num_rows_forgotten: int, moves: tuple[int, ...]) -> dict[int, float]:
    """Relative error of keys after so many moves, each by the rows that were forgotten in front of them."""
    num_rows, start = 64, 6000
    pool = PagePool(num_layers=1, num_kv_heads=2, head_dim=WIDTH, num_pages=4, page_size=16, dtype=dtype)
    keys, positions = random_keys(num_rows), start + torch.arange(num_rows)
    pool.keys_LRKH[0] = rotated(keys, positions).to(dtype)
    rows, deltas = np.arange(num_rows), np.full(num_rows, -num_rows_forgotten)
    errors = {}
    for move in range(1, max(moves) + 1):
        rerotate(pool, rows, deltas, THETA)
        if move in moves:
            errors[move] = error(pool.keys_LRKH[0], rotated(keys, positions - move * num_rows_forgotten))
    told = ", ".join(f"{relative:.1e} after {move}" for move, relative in errors.items())
    print(f"{dtype}, moves by {num_rows_forgotten}: relative error {told}")
    return errors


def test_many_moves_in_float32_stay_as_exact_as_the_angles() -> None:
    assert max(errors_of_moves(torch.float32, FRAME_ROWS, (1, 10, 100, 200)).values()) < 1e-4


def test_many_small_moves_in_bfloat16_add_up() -> None:
    """Each move loses what is smaller than half a bfloat16 step, so the error grows with the number of moves, not its root.

    A trunk of 6,000 rows can lose a 29-row frame in front of a key 206 times at most: positions only go down.
    """
    errors = errors_of_moves(torch.bfloat16, FRAME_ROWS, (1, 10, 100, 200))
    assert errors[1] < 3e-3
    assert errors[10] < 1e-2
    assert errors[100] < 6e-2
    assert errors[200] < 0.1


def test_a_few_large_moves_in_bfloat16_cost_little() -> None:
    """What the default memory does: it forgets down to its low-water mark at once."""
    assert errors_of_moves(torch.bfloat16, 1800, (1, 2, 3))[3] < 5e-3
