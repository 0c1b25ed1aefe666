"""The five losses of Mask R-CNN, L = L_cls + L_box + L_mask + L_objectness + L_rpn_box (He et al. 2017, section 3).

Every function takes a validity mask instead of a list and returns a `Term`, a sum in float32 and the count that divides
it, whose mean is 0 (with a gradient of 0) when nothing is valid. N counts all entries of the minibatch, padding too.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Term(NamedTuple):
    """A sum and the number of samples that divides it. Both add up over batches and processes; means do not."""

    total: Tensor
    samples: Tensor

    @property
    def mean(self) -> Tensor:
        return self.total / self.samples.clamp(min=1)


class Losses(NamedTuple):
    """Scalars, each already weighted as it enters the sum."""

    objectness: Tensor
    rpn_box: Tensor
    classification: Tensor
    box: Tensor
    mask: Tensor

    @property
    def total(self) -> Tensor:
        return torch.stack(self).sum()


def _term(values: Tensor, valid: Tensor, samples: Tensor | None = None) -> Term:
    """Sum of the valid values, and the number of samples: of the valid ones unless given."""
    return Term(torch.where(valid, values, 0.0).sum(), valid.sum() if samples is None else samples)


def objectness_loss(logits: Tensor, positive: Tensor, valid: Tensor) -> Term:
    """L_objectness = -1/N Σ [y log p + (1 - y) log(1 - p)], p = sigmoid(logit), over the sampled anchors [N]."""
    pairs = F.binary_cross_entropy_with_logits(logits.float(), positive.float(), reduction="none")
    return _term(pairs, valid)


def rpn_box_loss(deltas: Tensor, targets: Tensor, positive: Tensor, sampled: Tensor, beta: float = 1 / 9) -> Term:
    """L_rpn_box = 1/N Σ_positive smooth_L1(t - t*), deltas [N, 4], N the number of *sampled* anchors."""
    return _term(_distance(deltas, targets, beta), positive & sampled, sampled.sum())


def classification_loss(logits: Tensor, labels: Tensor, valid: Tensor) -> Term:
    """L_cls = -1/N Σ log softmax(logits)[label] over C classes and background (last): logits [N, C + 1]."""
    pairs = F.cross_entropy(logits.float(), labels, reduction="none")
    return _term(pairs, valid)


def box_loss(deltas: Tensor, targets: Tensor, foreground: Tensor, sampled: Tensor, beta: float = 1 / 9) -> Term:
    """L_box = 1/N Σ_foreground smooth_L1(t_u - t*): deltas [N, 4] of the true class u, N the *sampled* RoIs.

    smooth_L1(x) = x²/2β where |x| < β, else |x| - β/2; |x| for β = 0.
    """
    return _term(_distance(deltas, targets, beta), foreground & sampled, sampled.sum())


def mask_loss(logits: Tensor, targets: Tensor, foreground: Tensor) -> Term:
    """L_mask = -1/(N M²) Σ_foreground Σ_pixels [m log p + (1 - m) log(1 - p)] on the true class's mask only.

    logits, targets: [N, M, M]; targets are coverages in 0..1. The other classes' masks get no gradient: classes do not
    compete for pixels.
    """
    pixels = F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
    return _term(pixels.mean(dim=(1, 2)), foreground)


def _distance(deltas: Tensor, targets: Tensor, beta: float) -> Tensor:
    return F.smooth_l1_loss(deltas.float(), targets, beta=beta, reduction="none").sum(-1)
