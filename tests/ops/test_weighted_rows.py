"""Weighted rows and their gradient against a dense product."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.ops.weighted_rows import weighted_rows


@given(st.integers(1, 9), st.integers(0, 12), st.integers(1, 5), st.integers(0, 2**31))
def test_values_and_gradient_are_those_of_the_dense_product(rows: int, sums: int, taps: int, seed: int) -> None:
    torch.manual_seed(seed)
    table = torch.randn(rows, 3, requires_grad=True)
    index, weight = torch.randint(0, rows, (sums, taps)), torch.randn(sums, taps)
    dense = torch.zeros(sums, rows).scatter_add_(1, index, weight)
    got, want = weighted_rows(table, index, weight), dense @ table
    torch.testing.assert_close(got, want)
    goal = torch.randn(sums, 3)
    (ours,) = torch.autograd.grad(got, table, goal)
    torch.testing.assert_close(ours, dense.T @ goal)
    with torch.no_grad():
        torch.testing.assert_close(weighted_rows(table, index, weight), want)


def test_bf16_adds_up_in_fp32() -> None:
    """A row that 4,096 outputs read: a running bf16 sum would stop growing at 256."""
    table = torch.ones(1, 2, dtype=torch.bfloat16, requires_grad=True)
    index = torch.zeros(4096, 1, dtype=torch.long)
    weighted_rows(table, index, torch.ones(4096, 1)).sum().backward()
    assert table.grad is not None
    assert table.grad.tolist() == [[4096, 4096]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_it_keeps_the_type(dtype: torch.dtype) -> None:
    table = torch.ones(4, 2, dtype=dtype, requires_grad=True)
    out = weighted_rows(table, torch.tensor([[0, 3]]), torch.ones(1, 2))
    out.sum().backward()
    assert out.dtype == dtype
    assert table.grad is not None
    assert table.grad.dtype == dtype
    assert table.grad[:, 0].tolist() == [1, 0, 0, 1]
