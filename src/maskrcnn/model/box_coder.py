"""Box deltas (R-CNN, appendix C): what the RPN and the box head learn, relative to a reference box.

    t_x = w_x (g_x - p_x) / p_w        t_w = w_w log(g_w / p_w)

and likewise in y, for reference p and goal g given by centre and size; the weights w bring the terms to like scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

SMALLEST_SIDE = 1e-3  # pixels; keeps the deltas of empty boxes finite
MAX_LOG_RATIO = math.log(1000.0 / 16)  # a box grows by at most this factor, so that exp never overflows


def _centre_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * size, size


def _constants(weights: Sequence[float], like: Tensor) -> Tensor:
    # Filled where they are needed: a copy from the host would wait for the device.
    return torch.stack([like.new_full((), weight) for weight in weights])


def encode_deltas(goal: Tensor, reference: Tensor, weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """Deltas [..., 4] that take reference boxes [..., 4] to goal boxes [..., 4]; finite for empty boxes too."""
    goal_centre, goal_size = _centre_size(goal)
    centre, size = _centre_size(reference)
    goal_size, size = goal_size.clamp(min=SMALLEST_SIDE), size.clamp(min=SMALLEST_SIDE)
    shift = (goal_centre - centre) / size
    stretch = torch.log(goal_size / size)
    return torch.cat((shift, stretch), dim=-1) * _constants(weights, reference)


def decode_deltas(deltas: Tensor, reference: Tensor, weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """Boxes [..., 4] that deltas [..., 4] make of reference boxes [..., 4]."""
    deltas = deltas.to(reference.dtype) / _constants(weights, reference)
    centre, size = _centre_size(reference)
    centre = centre + deltas[..., :2] * size
    half = 0.5 * size * deltas[..., 2:].clamp(max=MAX_LOG_RATIO).exp()
    return torch.cat((centre - half, centre + half), dim=-1)
