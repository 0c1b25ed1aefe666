"""Sampling a map bilinearly on a regular grid, one axis at a time.

A bilinear weight is a product of a weight in y and one in x, and so is the average of bilinear samples over a regular
grid: everything RoIAlign and mask targets need is two small tables, one an axis. Coordinates count map cells with the
first cell's value at 0 (a caller who thinks in pixels with centres at 0.5 subtracts the half itself).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class GridTaps(NamedTuple):
    """The cells one axis reads. cell, weight: [R, bins, S, 2], S sample points a bin with two neighbours each."""

    cell: Tensor
    weight: Tensor


def grid_taps(start: Tensor, length: Tensor, bins: int, samples: Tensor, max_samples: int, size: Tensor) -> GridTaps:
    """GridTaps of ``samples`` regular points in each of ``bins`` equal parts of [start, start + length].

    Points further than one cell outside [0, size - 1] weigh nothing; nearer ones read the border cell, as RoIAlign
    has it (He et al. 2017, section 3). Weights of a bin sum to at most 1: each is already divided by ``samples``.

    Args:
        start, length: float [R], in map cells.
        samples: int [R], points a bin, at most ``max_samples``; 0 gives all-zero weights.
        size: int [R], cells along this axis.
    """
    bin_size = (length / bins)[:, None, None]
    count = samples[:, None, None].to(start.dtype).clamp(min=1)
    point = torch.arange(max_samples, device=start.device)
    offset = (point.to(start.dtype) + 0.5) * bin_size / count
    where = start[:, None, None] + torch.arange(bins, device=start.device)[:, None].to(start.dtype) * bin_size + offset
    last = (size[:, None, None] - 1).to(start.dtype)
    counted = (point < samples[:, None, None]) & (where >= -1) & (where <= last + 1)
    where = torch.minimum(where.clamp(min=0), last)
    low = where.floor()
    high = torch.minimum(low + 1, last)
    fraction = where - low
    weight = torch.stack((1 - fraction, fraction), dim=-1) * (counted / count)[..., None]
    return GridTaps(torch.stack((low, high), dim=-1).long(), weight)


def dense_weights(taps: GridTaps, size: int) -> Tensor:
    """The taps as one matrix [R, bins, size], so that ``matrix @ map`` samples the axis; for maps of few cells."""
    rows, bins = taps.cell.shape[:2]
    matrix = taps.weight.new_zeros(rows, bins, size)
    return matrix.scatter_add(2, taps.cell.reshape(rows, bins, -1), taps.weight.reshape(rows, bins, -1))


def centre_weights(centres: Tensor, start: Tensor, length: Tensor, cells: int) -> Tensor:
    """Bilinear weights [R, N, cells] that read ``cells`` values spread over [start, start + length] at centres [R, N].

    Cell j's value sits at the centre of its part; beyond the outer centres the values fall to zero.
    """
    where = (centres - start[:, None]) / length[:, None] * cells - 0.5
    return (1 - (where[..., None] - torch.arange(cells, device=where.device)).abs()).clamp(min=0)
