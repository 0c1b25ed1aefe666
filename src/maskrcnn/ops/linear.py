"""A linear layer by oneDNN on CPUs: torch's own asks MKL in fp32, which on some of them takes half as long again.

The operator is one that torch's compiler uses. Whether it is there and right is tried once.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from maskrcnn.ops.host import NO_SUCH_OPERATOR, plain_only


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x @ weightᵀ + bias, for inference.

    Args:
        x: [N, C].
        weight: [O, C]; bias: [O].
    """
    # Exporters know no private operators of torch.
    if torch.compiler.is_compiling() or linear_form(x.device, x.dtype) == "plain":
        return F.linear(x, weight, bias)
    return _onednn(x, weight, bias)


@functools.cache
def linear_form(device: torch.device, dtype: torch.dtype) -> str:
    """ "oneDNN" or "plain": what runs there."""
    if device.type != "cpu" or plain_only():
        return "plain"
    draw = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(shape, generator=draw).to(dtype) for shape in ((5, 24), (16, 24), (16,)))
    try:
        got = _onednn(x, weight, bias)
    except NO_SUCH_OPERATOR:
        return "plain"
    tolerance = 1e-4 if dtype == torch.float32 else 0.1
    right = torch.allclose(got.double(), F.linear(x.double(), weight.double(), bias.double()), tolerance, tolerance)
    return "oneDNN" if right and got.dtype == dtype else "plain"


def _onednn(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    operator: Any = torch.ops.mkldnn._linear_pointwise
    return operator(x, weight, bias, "none", [], "")
