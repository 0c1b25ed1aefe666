"""Weights in a lower precision, rounded so that errors cancel.

What a layer takes in is mostly smooth and positive, so the rounding errors of a filter act together, as their sum. It
grows with the root of the filter's size when each weight goes to the nearest value. Here the error of a weight is
handed to the next one, as in dithering (Floyd and Steinberg 1976), and the sum stays within one rounding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RUN = 64  # weights rounded one after another; the runs of all filters go side by side


def round_filters(weight: Tensor, dtype: torch.dtype, transposed: bool = False) -> Tensor:
    """A layer's weight in another precision.

    Args:
        weight: [O, …], the filters of a convolution or a linear layer; with ``transposed`` [C, O, k, k].
        dtype: to round to; where it has no fewer digits than the weight, nothing is to be done.

    Returns:
        of the weight's shape, on its device. The sum of a filter's errors is that of rounding one weight, and no weight
        moves by more than one and a half steps of the filter's largest.
    """
    if weight.dim() < 2 or not weight.numel() or torch.finfo(dtype).eps <= torch.finfo(weight.dtype).eps:
        return weight.to(dtype)
    filters = weight.float().cpu()
    if transposed:
        moved = filters.permute(1, 2, 3, 0)
        return _diffused(moved.flatten(0, 2), dtype).view(moved.shape).permute(3, 0, 1, 2).to(weight.device)
    return _diffused(filters.flatten(1), dtype).view(weight.shape).to(weight.device)


def _diffused(filters: Tensor, dtype: torch.dtype) -> Tensor:
    """[O, N] → the same in dtype, each row's errors handed on."""
    count, length = filters.shape
    runs = F.pad(filters, (-length % RUN, 0)).reshape(count, -1, RUN).permute(2, 1, 0).contiguous()
    carry = torch.zeros_like(runs[0])
    for values in runs:
        carry += values
        values.copy_(carry.to(dtype))
        carry -= values
    # What is left at the end of a run goes to the ends of those after it.
    left = torch.zeros(count)
    for end, rest in zip(runs[-1], carry, strict=True):
        left += rest + end
        end.copy_(left.to(dtype))
        left -= end
    return runs.permute(2, 1, 0).reshape(count, -1)[:, -length:].to(dtype)
