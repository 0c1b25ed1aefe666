"""Weighted sums of listed rows of a table: what bilinear sampling of a feature map comes down to."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def weighted_rows(table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Sum of table [P, F] rows index [N, T] with weights [N, T] → [N, F], in the table's dtype.

    Differentiable in the table alone.
    """
    if (
        table.device.type == "cpu"
        and table.requires_grad
        and torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
    ):
        return _WeightedRows.apply(table, index, weight)
    return _bag(index, table, weight)


def _bag(index: Tensor, table: Tensor, weight: Tensor, starts: Tensor | None = None) -> Tensor:
    return F.embedding_bag(index, table, starts, mode="sum", per_sample_weights=weight.to(table.dtype))


class _WeightedRows(torch.autograd.Function):
    """The same sum with a gradient that is again such a sum: a row receives from those outputs that read it.

    Twice as fast on a CPU as the gradient of ``embedding_bag``, which adds row by row.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(index, weight)
        ctx.rows = len(table)
        return _bag(index, table, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        index, weight = ctx.saved_tensors
        read, order = index.flatten().int().sort(stable=True)
        starts = torch.searchsorted(read, torch.arange(ctx.rows, dtype=torch.int32))
        outputs = order // max(index.shape[1], 1)
        return _bag(outputs, gradient.contiguous(), weight.flatten()[order], starts), None, None
