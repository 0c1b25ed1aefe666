"""Where shapes may depend on values: in eager mode on the CPU.

Elsewhere reading a value waits for the device, or cannot be traced.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor

from maskrcnn.ops.opaque_ops import has_opaque_operators

# What torch raises for an operator of its own that this release lacks, or whose arguments or CPU do not suit it.
NO_SUCH_OPERATOR = (AttributeError, TypeError, RuntimeError)


def on_host(tensor: Tensor) -> bool:
    """Whether reading this tensor's values costs nothing."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def plain_only() -> bool:
    """Whether the user wants the plain form of everything: ``MASKRCNN_KERNELS=plain``."""
    return os.environ.get("MASKRCNN_KERNELS") == "plain"


def computed_indices(wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of the entries of bool [B, K] to compute: int [R] each, in order.

    In eager mode on the CPU those that are set; elsewhere all B * K, so that no shape depends on values.
    """
    if on_host(wanted) or has_opaque_operators():
        row, column = wanted.nonzero(as_tuple=True)
        return row, column
    rows, columns = wanted.shape
    entry = torch.arange(rows * columns, device=wanted.device)
    return entry // columns, entry % columns
