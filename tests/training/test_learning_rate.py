"""Warm-up and cosine, by hand and by their shape."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.training.learning_rate import rate_factor


@pytest.mark.parametrize(
    ("step", "progress", "warmup", "expected"),
    [
        (0, 0.0, 0, 1.0),
        (0, 0.0, 3, 0.25),
        (1, 0.0, 3, 0.5),
        (3, 0.0, 3, 1.0),
        (100, 0.0, 3, 1.0),
        (100, 0.5, 3, 0.5),
        (100, 1 / 3, 3, 0.75),
        (100, 1.0, 3, 0.0),
        (100, 1.7, 3, 0.0),
        (100, -0.2, 3, 1.0),
        (0, 0.5, 3, 0.125),
    ],
)
def test_by_hand(step: int, progress: float, warmup: int, expected: float) -> None:
    assert rate_factor(step, progress, warmup) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 50), st.integers(51, 400))
def test_it_climbs_to_its_peak_and_falls_to_zero(warmup: int, total: int) -> None:
    factors = [rate_factor(step, step / total, warmup) for step in range(total + 1)]
    peak = factors.index(max(factors))
    assert peak <= warmup
    assert all(a < b for a, b in itertools.pairwise(factors[: peak + 1]))
    assert all(a >= b for a, b in itertools.pairwise(factors[warmup:]))
    assert 0 < factors[0] <= 1
    assert factors[-1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 1.0), (0.49, 1.0), (0.5, 0.1), (0.79, 0.1), (0.8, 0.01), (1.0, 0.01)]
)
def test_steps_of_a_tenth(progress: float, expected: float) -> None:
    assert rate_factor(100, progress, 3, step_at=(0.5, 0.8)) == pytest.approx(expected)
    assert rate_factor(0, progress, 3, step_at=(0.5, 0.8)) == pytest.approx(expected / 4)
