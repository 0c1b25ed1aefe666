"""Counter-based noise: SplitMix64 in Python's whole numbers, evenness, independence of the batch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from maskrcnn.ops.counter_rng import uniform

MASK = 2**64 - 1


def mixed(bits: int) -> int:
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & MASK
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & MASK
    return bits ^ bits >> 31


def expected(seed: int, place: int, stream: int) -> float:
    gamma = 0x9E3779B97F4A7C15
    start = mixed(seed + (stream + 1) * gamma & MASK)
    return (mixed(start + (place + 1) * gamma & MASK) >> 40) / 2**24


@given(st.integers(0, 2**63 - 1), st.integers(0, 3))
def test_it_is_splitmix(seed: int, stream: int) -> None:
    got = uniform(torch.tensor([seed]), 5, stream)
    assert got[0].tolist() == [expected(seed, place, stream) for place in range(5)]


@pytest.mark.parametrize("stream", [0, 1])
def test_it_is_even(stream: int) -> None:
    values = uniform(torch.arange(50), 2000, stream)
    assert values.min() >= 0
    assert values.max() < 1
    assert stats.kstest(values.flatten(), "uniform").pvalue > 1e-3
    across = torch.corrcoef(values)
    assert (across - torch.eye(50)).abs().max() < 0.12


def test_a_row_knows_nothing_of_its_batch() -> None:
    together = uniform(torch.tensor([5, 9]), 7)
    assert torch.equal(uniform(torch.tensor([9]), 7)[0], together[1])
    assert torch.equal(uniform(torch.tensor([9]), 3)[0], together[1, :3])
    assert not torch.equal(uniform(torch.tensor([9]), 7, stream=1)[0], together[1])
