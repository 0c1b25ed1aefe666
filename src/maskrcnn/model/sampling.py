"""Which boxes a loss sees: a random minibatch of positives and negatives for each image.

Faster R-CNN, section 3.1.2, for anchors; Fast R-CNN, section 2.3, for RoIs. In words, for one image:

    num_positive = min(number of positives, int(count * positive_share))
    num_negative = min(number of negatives, count - num_positive)

Here all images are sampled at once, with shapes that do not depend on data and random numbers that depend on an image's
seed alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskrcnn.ops.counter_rng import uniform

NEVER = -1.0  # the priority of boxes that must not be sampled; all others are at least 0


def sample_minibatch(
    positive: Tensor, negative: Tensor, count: int, positive_share: float, seeds: Tensor, stream: int = 0
) -> tuple[Tensor, Tensor]:
    """Sample at most ``count`` of N boxes of each image, at most ``positive_share`` of them positive.

    Args:
        positive, negative: bool [B, N], never both; a box that is neither is not sampled.
        seeds: int64 [B]; what is sampled in an image follows from its seed, the stream and its boxes alone.
        stream: which of several independent sequences of random numbers.

    Returns:
        index int [B, S] and valid bool [B, S] with S = min(count, N). Positives come first: they are all within the
        first ``int(count * positive_share)`` entries.
    """
    boxes = positive.shape[1]
    max_positive = min(int(count * positive_share), boxes)
    chance = uniform(seeds, boxes, stream)  # in [0, 1)
    priority, index = torch.where(positive, chance, NEVER).topk(max_positive, dim=1)
    sampled_positive = torch.zeros_like(positive).scatter(1, index, priority >= 0)
    # Sampled positives have priorities from 1 on and so go before every negative, which then fill up the minibatch.
    priority = torch.where(sampled_positive, 1 + chance, torch.where(negative, chance, NEVER))
    priority, index = priority.topk(min(count, boxes), dim=1)
    return index, priority >= 0
