"""Winograd's convolution against direct convolution in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskrcnn.ops import winograd
from maskrcnn.ops.winograd import KERNEL, REACH, TILE, winograd_conv, winograd_weight


def case(images: int, inputs: int, outputs: int, height: int, width: int, seed: int = 0) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    shapes = (images, inputs, height, width), (outputs, inputs, 3, 3), (outputs,)
    x, weight, bias = (torch.randn(shape, generator=generator) for shape in shapes)
    return x, weight, bias


def truth(x: Tensor, weight: Tensor, bias: Tensor, relu: bool = False) -> Tensor:
    out = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    return out.relu() if relu else out


def check(x: Tensor, weight: Tensor, bias: Tensor, relu: bool = False) -> Tensor:
    wanted, found = truth(x, weight, bias, relu), winograd_conv(x, winograd_weight(weight), bias, relu)
    assert found.shape == wanted.shape
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    # A sum of 9 C products of normal numbers.
    torch.testing.assert_close(found.double(), wanted, atol=1e-5 * (9 * x.shape[1]) ** 0.5, rtol=1e-5)
    return found


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 4), (5, 8), (14, 14), (33, 47), (1, 30), (64, 3)])
@pytest.mark.parametrize("images", [1, 3])
def test_it_is_a_convolution_of_any_size(size: tuple[int, int], images: int) -> None:
    check(*case(images, 5, 7, *size))


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 9), st.integers(1, 21), st.integers(1, 21)),
    st.booleans(),
    st.integers(1, 40),
    st.integers(0, 2**32),
)
def test_it_is_a_convolution_in_strips_of_any_length(
    shape: tuple[int, int, int, int, int], relu: bool, strip: int, seed: int
) -> None:
    """A strip is some rows of one image, or several images whole."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(winograd, "STRIP", strip)
        found = check(*case(*shape, seed=seed), relu)
    assert not relu or (found >= 0).all()


def test_strips_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias = case(3, 8, 6, 23, 18)
    moved = winograd_weight(weight)
    wanted = winograd_conv(x, moved, bias)
    for strip in (1, 5, 6, 12, 31, 64):
        monkeypatch.setattr(winograd, "STRIP", strip)
        torch.testing.assert_close(winograd_conv(x, moved, bias), wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("channels", [16, 64, 256, 512])
@pytest.mark.parametrize("positive", [True, False])
def test_its_error_stays_near_that_of_torchs_convolution(channels: int, positive: bool) -> None:
    """A millionth of a result: some times a direct convolution's error, a thousandth of that of bf16."""
    x, weight, bias = case(1, channels, 32, 32, 28)
    x = x.relu() if positive else x  # as a layer before leaves it, or of either sign
    wanted = truth(x, weight, bias)
    scale = wanted.square().mean().sqrt()
    direct, moved = (
        found - wanted
        for found in (F.conv2d(x, weight, bias, padding=1), winograd_conv(x, winograd_weight(weight), bias))
    )
    assert moved.square().mean().sqrt() <= 2e-6 * scale
    assert moved.abs().max() <= 2e-5 * scale
    assert moved.square().mean().sqrt() <= 8 * direct.square().mean().sqrt()


def test_the_usual_points_would_be_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias = case(1, 256, 32, 32, 28)
    wanted, errors = truth(x, weight, bias), []
    for points in (winograd.POINTS, (0.0, 1.0, -1.0, 2.0, -2.0)):
        monkeypatch.setattr(winograd, "POINTS", points)
        output, kernel, seen = winograd._transforms()
        monkeypatch.setattr(winograd, "_KERNEL", kernel)
        monkeypatch.setattr(winograd, "OUTPUT_TRANSFORM", torch.kron(output, output).float())
        monkeypatch.setattr(winograd, "INPUT_TRANSFORM", torch.kron(seen, seen).float())
        errors.append((winograd_conv(x, winograd_weight(weight), bias) - wanted).square().mean().sqrt().item())
    assert 1.5 * errors[0] < errors[1] < 1e-4 * wanted.square().mean().sqrt()


def test_its_zeros_are_exact() -> None:
    x, weight, bias = case(1, 4, 4, 9, 9)
    found = winograd_conv(torch.zeros_like(x), winograd_weight(weight), bias)
    assert torch.equal(found, bias[:, None, None].expand_as(found))


def test_input_of_any_memory_layout_stays_as_it_is() -> None:
    x, weight, bias = case(2, 6, 4, 11, 13)
    layouts = [
        x.contiguous(memory_format=torch.channels_last),
        x.transpose(2, 3).contiguous().transpose(2, 3),
        torch.cat((x, x), 1)[:, :6],
        F.pad(x, (1, 2, 3, 4))[:, :, 3:-4, 1:-2],
        x.flip(0).flip(0),
    ]
    wanted = check(x, weight, bias)
    for layout in layouts:
        assert torch.equal(layout, x)
        torch.testing.assert_close(check(layout, weight, bias), wanted, atol=1e-5, rtol=1e-5)
        assert torch.equal(layout, x)
    expanded = x[:1].expand(3, -1, -1, -1)
    check(expanded, weight, bias)


def test_nothing_of_one_image_reaches_another() -> None:
    x, weight, bias = case(3, 4, 4, 7, 6)
    x[1] = float("nan")
    found = winograd_conv(x, winograd_weight(weight), bias)
    assert found[[0, 2]].isfinite().all()
    assert found[1].isnan().all()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-4, 4), min_size=REACH, max_size=REACH), st.lists(st.floats(-4, 4), min_size=3, max_size=3))
def test_one_axis_is_a_correlation_exactly(signal: list[float], kernel: list[float]) -> None:
    output, moved, seen = winograd._transforms()
    assert (output.shape, moved.shape, seen.shape) == ((TILE, REACH), (REACH, KERNEL), (REACH, REACH))
    d, g = torch.tensor(signal, dtype=torch.float64), torch.tensor(kernel, dtype=torch.float64)
    found = output @ ((moved @ g) * (seen @ d))
    wanted = [sum(signal[place + tap] * kernel[tap] for tap in range(KERNEL)) for place in range(TILE)]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), atol=1e-12, rtol=1e-12)
