"""A convolution, its bias, a residual to add and an activation in one operator.

The plain form is four operators, each of which reads and writes the whole map. oneDNN on CPUs and cuDNN on CUDA do it
in one; torch has both under names of its own, which its compiler uses. Whether they are there and right is tried once.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from maskrcnn.ops.host import NO_SUCH_OPERATOR, plain_only

ACTIVATIONS = ("", "relu", "relu6")


class Conv(NamedTuple):
    """What torch's convolutions take beside tensors."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


def fused_conv(
    x: Tensor, weight: Tensor, bias: Tensor, conv: Conv, activation: str = "", residual: Tensor | None = None
) -> Tensor:
    """activation(conv2d(x, weight) + bias + residual), for inference.

    Args:
        x: [B, C, H, W]; best in channels-last memory, as ``residual``.
        weight: [O, C / groups, k, k]; bias: [O].
        activation: one of `ACTIVATIONS`.
        residual: of the result's shape; one that broadcasts is added by the plain form.
    """
    # Compilers fuse by themselves, and exporters know no private operators of torch.
    plain = (not activation and residual is None) or torch.compiler.is_compiling()
    form = "" if plain else _form(x.device, x.dtype)
    if residual is not None and not _can_add_residual(form, x, weight, conv, activation, residual):
        form = ""
    if form == "oneDNN":
        return _onednn(x, weight, bias, conv, activation, residual)
    if form == "cuDNN" and activation == "relu":
        return _cudnn(x, weight, bias, conv, residual)
    return fused_conv_plain(x, weight, bias, conv, activation, residual)


def fused_conv_plain(
    x: Tensor, weight: Tensor, bias: Tensor, conv: Conv, activation: str = "", residual: Tensor | None = None
) -> Tensor:
    """`fused_conv` as separate operators."""
    out = F.conv2d(x, weight, bias, *conv)
    if residual is not None:
        out = out + residual
    if activation:
        return F.relu_(out) if activation == "relu" else F.hardtanh_(out, 0.0, 6.0)
    return out


def fused_form(device: torch.device, dtype: torch.dtype) -> str:
    """ "oneDNN", "cuDNN" or "plain": what runs there."""
    return _form(device, dtype) or "plain"


def _can_add_residual(form: str, x: Tensor, weight: Tensor, conv: Conv, activation: str, residual: Tensor) -> bool:
    """Whether the operator itself adds this residual to this convolution's result."""
    sides = zip(x.shape[2:], weight.shape[2:], *conv[:3], strict=True)
    shape = (
        x.shape[0],
        weight.shape[0],
        *((size + 2 * pad - dilation * (span - 1) - 1) // stride + 1 for size, span, stride, pad, dilation in sides),
    )
    if residual.shape != shape:
        return False
    last = torch.channels_last
    if form == "cuDNN":
        return x.is_contiguous(memory_format=last) and residual.is_contiguous(memory_format=last)
    # Otherwise torch's operator falls back on others, which refuse bf16.
    clearly_last = x.is_contiguous(memory_format=last) and not x.is_contiguous()
    return clearly_last and conv.groups == 1 and activation != "relu6"


def _onednn(x: Tensor, weight: Tensor, bias: Tensor, conv: Conv, activation: str, residual: Tensor | None) -> Tensor:
    operator: Any = torch.ops.mkldnn._convolution_pointwise
    geometry = (conv.padding, conv.stride, conv.dilation, conv.groups)
    name, limits = {"": ("none", []), "relu": ("relu", []), "relu6": ("hardtanh", [0.0, 6.0])}[activation]
    if residual is None:
        return operator(x, weight, bias, *geometry, name, limits, "")
    return operator.binary(x, residual, weight, bias, *geometry, "add", 1.0, name if activation else None, limits, "")


def _cudnn(x: Tensor, weight: Tensor, bias: Tensor, conv: Conv, residual: Tensor | None) -> Tensor:
    if residual is None:
        return torch.cudnn_convolution_relu(x, weight, bias, *conv)
    return torch.cudnn_convolution_add_relu(x, weight, residual, 1.0, bias, *conv)


@functools.cache
def _form(device: torch.device, dtype: torch.dtype) -> str:
    """The operator that gives the plain form's results on this device; "" for none."""
    name = {"cpu": "oneDNN", "cuda": "cuDNN"}.get(device.type, "")
    if not name or plain_only():
        return ""
    draw = torch.Generator().manual_seed(0)
    geometry = Conv((1, 1), (1, 1), (1, 1), 1)
    x, weight, bias = (
        torch.randn(shape, generator=draw).to(device, dtype) for shape in ((2, 16, 9, 7), (16, 16, 3, 3), (16,))
    )
    x, weight = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (x, weight))
    try:
        for residual in (None, x):
            got = (
                _onednn(x, weight, bias, geometry, "relu", residual)
                if name == "oneDNN"
                else _cudnn(x, weight, bias, geometry, residual)
            )
            want = fused_conv_plain(x.float(), weight.float(), bias.float(), geometry, "relu", residual)
            if not torch.allclose(got.float(), want, rtol=0.02, atol=0.2 if dtype != torch.float32 else 1e-2):
                return ""
    except NO_SUCH_OPERATOR:
        return ""
    return name
