"""A fused convolution against its operators one by one, and which form runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskrcnn.ops import fused_conv as module
from maskrcnn.ops.fused_conv import ACTIVATIONS, Conv, fused_conv, fused_conv_plain, fused_form

CPU = torch.device("cpu")
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 0.02, torch.float16: 0.005, torch.float64: 1e-12}


def tensors(
    conv: Conv, shape: tuple[int, int, int, int], outputs: int, kernel: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Input, weight and bias with results of order one to ten, and a shortcut."""
    draw = torch.Generator().manual_seed(0)
    shapes = shape, (outputs, shape[1] // conv.groups, kernel, kernel), (outputs,)
    x, weight, bias = (2 * torch.randn(size, generator=draw).to(device, dtype) for size in shapes)
    weight = weight / weight[0].numel() ** 0.5
    out = torch.nn.functional.conv2d(x.float(), weight.float(), None, *conv)
    return x, weight, bias, 2 * torch.randn(out.shape, generator=draw).to(device, dtype)


def check(x: Tensor, weight: Tensor, bias: Tensor, conv: Conv, activation: str, residual: Tensor | None) -> None:
    before = None if residual is None else residual.clone()
    wide = [None if part is None else part.double() for part in (x, weight, bias, residual)]
    wanted = fused_conv_plain(*wide[:3], conv, activation, wide[3])  # type: ignore[arg-type]
    found = fused_conv(x, weight, bias, conv, activation, residual)
    assert found.dtype == x.dtype
    tolerance = TOLERANCE[x.dtype]
    torch.testing.assert_close(found.double(), wanted, atol=tolerance, rtol=tolerance)
    assert residual is None or torch.equal(residual, before)  # type: ignore[arg-type]


geometries = st.builds(
    Conv,
    st.tuples(st.integers(1, 3), st.integers(1, 2)),
    st.tuples(st.integers(0, 2), st.integers(0, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from([1, 1, 2, 8]),
)


@settings(max_examples=120, deadline=None)
@given(
    geometries,
    st.tuples(st.sampled_from([1, 2, 0]), st.just(8), st.integers(5, 9), st.integers(5, 12)),
    st.sampled_from([8, 16]),
    st.sampled_from([1, 3]),
    st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    st.sampled_from(ACTIVATIONS),
    st.booleans(),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_it_is_its_operators_one_by_one(
    conv: Conv,
    shape: tuple[int, int, int, int],
    outputs: int,
    kernel: int,
    dtype: torch.dtype,
    activation: str,
    added: bool,
    last: tuple[bool, bool, bool],
) -> None:
    x, weight, bias, residual = tensors(conv, shape, outputs, kernel, dtype, CPU)
    x, weight, residual = (
        part.contiguous(memory_format=torch.channels_last) if here else part
        for part, here in zip((x, weight, residual), last, strict=True)
    )
    check(x, weight, bias, conv, activation, residual if added else None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("size", [(1, 1), (6, 9)])
def test_a_shortcut_in_either_memory_layout(
    dtype: torch.dtype, activation: str, groups: int, size: tuple[int, int]
) -> None:
    """oneDNN's operator falls back on others that refuse bf16 where there are groups or no clear layout."""
    conv = Conv((1, 1), (1, 1), (1, 1), groups)
    x, weight, bias, residual = tensors(conv, (2, 8, *size), 16, 3, dtype, CPU)
    for one in (x, x.contiguous(memory_format=torch.channels_last)):
        for other in (residual, residual.contiguous(memory_format=torch.channels_last)):
            check(one, weight, bias, conv, activation, other)


@pytest.mark.parametrize("shape", [(1, 16, 1, 1), (16, 1, 1), (2, 1, 6, 9), (1, 16, 6, 9), (16, 6, 9)])
def test_a_shortcut_that_broadcasts(shape: tuple[int, ...]) -> None:
    conv = Conv((1, 1), (0, 0), (1, 1), 1)
    x, weight, bias, _ = tensors(conv, (2, 8, 6, 9), 16, 1, torch.float32, CPU)
    x = x.contiguous(memory_format=torch.channels_last)
    check(x, weight, bias, conv, "relu", torch.randn(shape, generator=torch.Generator().manual_seed(1)))
    check(x[:, :, :1, :1], weight, bias, conv, "relu", torch.ones(2, 16, 6, 9))  # and the result itself


def test_the_input_stays_as_it_is() -> None:
    conv = Conv((1, 1), (0, 0), (1, 1), 1)
    x, weight, bias, _ = tensors(conv, (2, 8, 6, 9), 8, 1, torch.float32, CPU)
    before = x.clone()
    check(x, weight, bias, conv, "relu6", x)
    assert torch.equal(x, before)


def test_which_form_runs() -> None:
    assert fused_form(CPU, torch.float64) == "plain"
    assert fused_form(CPU, torch.float32) in ("oneDNN", "plain")
    assert fused_form(torch.device("meta"), torch.float32) == "plain"


def test_a_wrong_operator_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried on a known case: one that adds no bias, or fails, gives way to the plain form."""
    wanted = module._form.__wrapped__(CPU, torch.float32)
    assert wanted == fused_form(CPU, torch.float32).replace("plain", "")
    plain = fused_conv_plain

    def without_bias(x: Tensor, weight: Tensor, bias: Tensor, *rest: object) -> Tensor:
        return plain(x, weight, bias * 0, *rest)  # type: ignore[arg-type]

    def without_shortcut(x: Tensor, weight: Tensor, bias: Tensor, conv: Conv, kind: str, _: object) -> Tensor:
        return plain(x, weight, bias, conv, kind)

    def missing(*_: object) -> Tensor:
        raise AttributeError("no such operator")

    def refusing(*_: object) -> Tensor:
        raise RuntimeError("not on this machine")

    for wrong in (without_bias, without_shortcut, missing, refusing):
        monkeypatch.setattr(module, "_onednn", wrong)
        assert module._form.__wrapped__(CPU, torch.float32) == ""
    monkeypatch.setattr(module, "_onednn", plain)
    assert module._form.__wrapped__(CPU, torch.float32) == "oneDNN"
    monkeypatch.setenv("MASKRCNN_KERNELS", "plain")
    assert module._form.__wrapped__(CPU, torch.float32) == ""


def test_the_user_may_want_the_plain_form() -> None:
    program = """
import torch
from maskrcnn.ops import fused_conv
def fail(*_): raise SystemExit("not the plain form")
fused_conv._onednn = fused_conv._cudnn = fail
ones = torch.ones(1, 1, 3, 3)
conv = fused_conv.Conv((1, 1), (0, 0), (1, 1), 1)
assert fused_conv.fused_form(ones.device, ones.dtype) == "plain"
assert fused_conv.fused_conv(ones, -ones, ones.new_ones(1), conv, "relu").item() == 0
assert fused_conv.fused_conv(ones, ones, ones.new_ones(1), conv, "relu6").item() == 6
"""
    environment = os.environ | {"MASKRCNN_KERNELS": "plain"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_on_cuda(dtype: torch.dtype, groups: int, stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    cuda = torch.device("cuda")
    for outputs in (8, 16):
        conv = Conv((stride, stride), (1, 1), (1, 1), groups)
        for images in (2, 0):
            x, weight, bias, residual = tensors(conv, (images, 8, 9, 7), outputs, 3, dtype, cuda)
            for form in (torch.channels_last, torch.contiguous_format):
                one, other = (part.contiguous(memory_format=form) for part in (x, residual))
                for activation in ACTIVATIONS:
                    check(one, weight, bias, conv, activation, None)
                    check(one, weight, bias, conv, activation, other)
