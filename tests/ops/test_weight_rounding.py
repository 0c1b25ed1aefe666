"""Rounded filters: sums stay, no weight strays, and a layer's results are nearer to the exact ones."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.ops.weight_rounding import RUN, round_filters


def drawn(shape: tuple[int, ...], seed: int = 0, spread: float = 1.0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=draw) * torch.rand(shape, generator=draw) ** spread


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 3 * RUN + 1),
    st.sampled_from([1, 3]),
    st.sampled_from([torch.bfloat16, torch.float16]),
    st.integers(0, 9),
)
def test_a_filters_sum_stays_and_no_weight_strays(
    count: int, channels: int, kernel: int, dtype: torch.dtype, seed: int
) -> None:
    weight = drawn((count, channels, kernel, kernel), seed, spread=3)
    found = round_filters(weight, dtype)
    assert (found.dtype, found.shape) == (dtype, weight.shape)
    errors = (found.double() - weight.double()).flatten(1)
    step = torch.finfo(dtype).eps * weight.abs().flatten(1).amax(1).double() * (1 + torch.finfo(dtype).eps)
    assert (errors.sum(1).abs() <= step / 2 * 1.01 + 1e-6).all()
    # The ends of runs take up what is left of their own run and of those before it.
    assert (errors.abs().amax(1) <= 1.5 * step + 1e-6).all()


def test_by_hand() -> None:
    """bf16 has steps of 1/128 from 1 on: three times a third of a step is one step."""
    step = 2.0**-7
    weight = torch.full((1, 3), 1 + step / 3)
    assert ((round_filters(weight, torch.bfloat16).float() - 1) / step).tolist() == [[0.0, 1.0, 0.0]]


def test_results_on_smooth_positive_input_are_nearer() -> None:
    weight = drawn((64, 128, 3, 3)) * 0.05
    coarse = F.interpolate(torch.rand(1, 128, 4, 4, generator=torch.Generator().manual_seed(1)), scale_factor=8)
    exact = F.conv2d(coarse, weight)
    ours, nearest = (F.conv2d(coarse, w.float()) for w in (round_filters(weight, torch.bfloat16), weight.bfloat16()))
    assert (ours - exact).square().mean() < (nearest - exact).square().mean() / 2


def test_a_transposed_convolutions_filters_run_along_its_first_axis() -> None:
    weight = drawn((200, 3, 2, 2))
    found = round_filters(weight, torch.bfloat16, transposed=True)
    want = round_filters(weight.permute(1, 2, 3, 0).flatten(0, 2), torch.bfloat16)
    assert torch.equal(found.permute(1, 2, 3, 0).flatten(0, 2), want)


def test_how_a_weight_lies_in_memory_changes_nothing() -> None:
    square = drawn((2 * RUN, 2 * RUN))
    assert torch.equal(
        round_filters(square.t(), torch.bfloat16), round_filters(square.t().contiguous(), torch.bfloat16)
    )
    kernels = drawn((5, 7, 3, 3))
    last = kernels.contiguous(memory_format=torch.channels_last)
    assert torch.equal(round_filters(last, torch.bfloat16), round_filters(kernels, torch.bfloat16))


@pytest.mark.parametrize("shape", [(7,), (0, 3), (4, 3)])
def test_what_needs_no_care_is_only_moved(shape: tuple[int, ...]) -> None:
    weight = drawn(shape)
    assert torch.equal(round_filters(weight, torch.float32), weight)
    assert torch.equal(round_filters(weight.bfloat16(), torch.bfloat16), weight.bfloat16())
    if len(shape) == 1 or not weight.numel():
        assert torch.equal(round_filters(weight, torch.bfloat16), weight.bfloat16())
