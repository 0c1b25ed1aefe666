"""Exponential moving average of the weights, which is evaluated and saved."""

from __future__ import annotations

import copy

import torch

from maskrcnn.model.mask_rcnn import MaskRCNN


class EMA:
    """An averaged copy of ``model``; the decay grows from 0.1 to its full value over the first steps."""

    def __init__(self, model: MaskRCNN, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self, model: MaskRCNN) -> None:
        """Update the average with the model's weights; integer buffers are copied."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        ours, theirs = self.model.state_dict(), model.state_dict()
        floating = [key for key, value in ours.items() if value.is_floating_point()]
        torch._foreach_lerp_([ours[key] for key in floating], [theirs[key] for key in floating], 1 - decay)
        for key in ours.keys() - set(floating):
            ours[key].copy_(theirs[key])
