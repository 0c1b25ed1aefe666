"""Weights along one axis against NumPy's linear interpolation, sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from maskrcnn.ops.bilinear import centre_weights, dense_weights, grid_taps

place = st.floats(-8, 16)
length = st.floats(0.01, 20)


def doubles(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(place, length, st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=5), st.integers(1, 4)
)
def test_taps_average_the_regular_samples_of_each_bin(rows: list[tuple[float, float, int, int]], bins: int) -> None:
    starts, lengths, samples, sizes = (list(column) for column in zip(*rows, strict=True))
    taps = grid_taps(doubles(starts), doubles(lengths), bins, torch.tensor(samples), 3, torch.tensor(sizes))
    assert taps.cell.shape == taps.weight.shape == (len(rows), bins, 3, 2)
    matrix = dense_weights(taps, 9)
    values = np.random.default_rng(0).normal(size=9)
    for r, (start, span, count, size) in enumerate(rows):
        for b in range(bins):
            points = np.array([start + span * (b + (k + 0.5) / count) / bins for k in range(count)])
            assume((np.abs(points + 1) > 1e-6).all() and (np.abs(points - size) > 1e-6).all())
            read = np.interp(points, np.arange(size), values[:size])  # beyond the ends NumPy reads the end
            read[(points < -1) | (points > size)] = 0
            expected = read.mean() if count else 0.0
            assert matrix[r, b].numpy() @ values == pytest.approx(expected, abs=1e-9)
            tapped = taps.weight[r, b] * torch.from_numpy(values)[taps.cell[r, b]]
            assert tapped.sum().item() == pytest.approx(expected, abs=1e-9)
            assert (taps.cell[r, b] < size).all()


def test_points_up_to_one_cell_outside_count() -> None:
    """Samples at -1.25, -1, 0.5, 3, 3.25 of a map of 3 cells."""
    start = torch.tensor([-1.25, -1.0, 0.5, 3.0, 3.25])
    taps = grid_taps(start, torch.zeros(5), 1, torch.ones(5, dtype=torch.long), 1, torch.full((5,), 3))
    expected = [[0, 0, 0], [1, 0, 0], [0.5, 0.5, 0], [0, 0, 1], [0, 0, 0]]
    assert dense_weights(taps, 3)[:, 0].tolist() == expected


def test_dense_weights_add_up_repeated_cells() -> None:
    taps = grid_taps(torch.tensor([0.0]), torch.tensor([4.0]), 2, torch.tensor([2]), 2, torch.tensor([5]))
    # Samples at 0.5, 1.5 and at 2.5, 3.5: cells 1 and 3 are read twice.
    assert dense_weights(taps, 5)[0].tolist() == [[0.25, 0.5, 0.25, 0, 0], [0, 0, 0.25, 0.5, 0.25]]


@settings(max_examples=40, deadline=None)
@given(place, length, st.integers(1, 8), st.lists(st.floats(-10, 30), min_size=1, max_size=6))
def test_centre_weights_are_a_piecewise_linear_function(
    start: float, span: float, cells: int, centres: list[float]
) -> None:
    """Knots at the cells' centres, and zero one cell beyond the outermost."""
    values = np.random.default_rng(1).normal(size=cells)
    knots = start + (np.arange(-1, cells + 1) + 0.5) * span / cells
    expected = np.interp(centres, knots, [0, *values, 0], left=0, right=0)
    weights = centre_weights(doubles(centres)[None], doubles([start]), doubles([span]), cells)
    assert weights.shape == (1, len(centres), cells)
    np.testing.assert_allclose(weights[0].numpy() @ values, expected, atol=1e-6)


def test_each_row_has_its_own_frame() -> None:
    centres = torch.tensor([[0.5, 1.0], [0.5, 1.0]])
    weights = centre_weights(centres, torch.tensor([0.0, -1.0]), torch.tensor([2.0, 4.0]), 2)
    assert weights.tolist() == [[[1, 0], [0.5, 0.5]], [[0.75, 0.25], [0.5, 0.5]]]
