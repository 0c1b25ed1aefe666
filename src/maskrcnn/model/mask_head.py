"""Mask head (Mask R-CNN, section 3): RoI features → one mask for every class, pixel by pixel, without competition.

A mask is 28×28 probabilities in its RoI's frame; a target is the object's patch resampled in that frame.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskrcnn.config import Config
from maskrcnn.model.batch import Batch
from maskrcnn.model.box_head import RoISamples
from maskrcnn.model.layers import conv_block
from maskrcnn.model.losses import Term, mask_loss
from maskrcnn.model.roi_align import crop_patches


class MaskHead(nn.Module):
    """RoI features [R, F, k, k] → mask logits [R, C, 2k, 2k], or [R, 1, 2k, 2k] if class-agnostic."""

    def __init__(self, classes: int, config: Config) -> None:
        super().__init__()
        self.config = config
        widths = (config.fpn_channels, *config.mask_convs)
        self.convs = nn.Sequential(*(conv_block(*pair, 3, config.head_norm) for pair in itertools.pairwise(widths)))
        self.upsample = nn.ConvTranspose2d(widths[-1], widths[-1], 2, 2)
        self.logits = nn.Conv2d(widths[-1], 1 if config.mask_class_agnostic else classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        # Start at a probability of one half everywhere: the loss begins at log 2 whatever the width.
        nn.init.normal_(self.logits.weight, std=0.001)

    def forward(self, rois: Tensor) -> Tensor:
        return self._rearranged(F.linear(self._cell_features(rois), self.logits.weight.flatten(1), self.logits.bias))

    def of_class(self, rois: Tensor, labels: Tensor) -> Tensor:
        """Mask logits [R, 2k, 2k] of one class for each RoI, labels int [R]: the others are not computed."""
        # Entries of background are not read; a class-agnostic head has mask 0 alone.
        labels = labels.clamp(max=len(self.logits.weight) - 1)
        cells = self._cell_features(rois)
        weight = self.logits.weight.flatten(1)[labels][..., None]
        logits = cells.flatten(1, 2) @ weight
        if self.logits.bias is not None:
            logits = logits + self.logits.bias[labels][:, None, None]
        return self._rearranged(logits.reshape(*cells.shape[:3], 1)).squeeze(1)

    def _cell_features(self, rois: Tensor) -> Tensor:
        """Features [R, k, 4k, F] before the logits: for each cell of a row its 2×2 parts, one after another."""
        # A transposed convolution whose stride is its size gives each cell 2×2 of its own: it is a 1×1 convolution to
        # four times the channels. So are the logits, and the values are rearranged last, when they are few.
        # On a CPU in bf16 this trains 3 times faster than the operator itself.
        x = self.convs(rois)
        weight = self.upsample.weight.permute(2, 3, 1, 0).flatten(0, 2)[..., None, None]
        bias = self.upsample.bias.repeat(4) if self.upsample.bias is not None else None
        cells = F.relu(F.conv2d(x, weight, bias), inplace=True)
        count, _, height, width = cells.shape
        return cells.permute(0, 2, 3, 1).reshape(count, height, width * 4, x.shape[1])

    def _rearranged(self, logits: Tensor) -> Tensor:
        """Logits [R, k, 4k, C] of the parts of cells, rearranged to [R, C, 2k, 2k]."""
        parts = logits.unflatten(2, (-1, 2, 2))
        return parts.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)

    def loss(self, logits: Tensor, rois: RoISamples, batch: Batch) -> Term:
        """L_mask for the true class's mask logits [B * S, 2k, 2k] of the sampled RoIs."""
        if not batch.boxes.shape[1]:
            return Term(logits.float().sum() * 0.0, rois.foreground.sum())
        targets, exists = mask_targets(rois, batch, logits.shape[-1], self.config)
        return mask_loss(logits, targets, exists & rois.foreground.flatten())


@torch.no_grad()
def mask_targets(rois: RoISamples, batch: Batch, bins: int, config: Config) -> tuple[Tensor, Tensor]:
    """Each RoI's view of its object's patch: coverage [B * S, bins, bins] in 0..1, and whether the object has a mask.

    The RoI moves into the frame of the patch; there it is one small RoIAlign.
    """
    rows = torch.arange(len(batch.boxes), device=rois.boxes.device)[:, None].expand_as(rois.matched)
    patches = batch.patches[rows, rois.matched].flatten(0, 1).float() / 255
    patch_sizes = batch.patch_sizes[rows, rois.matched].flatten(0, 1)
    frames = batch.frames[rows, rois.matched].flatten(0, 1)
    extent = (frames[:, 2:] - frames[:, :2]).clamp(min=1e-6)
    cells = (patch_sizes.flip(-1) / extent).repeat(1, 2)
    boxes = (rois.boxes.flatten(0, 1) - frames[:, :2].repeat(1, 2)) * cells
    # Along an axis a foreground RoI is at most 1 / roi_iou as long as its object; one more for rounding.
    most = math.ceil(patches.shape[-1] / (config.roi_iou * bins)) + 1
    masks = crop_patches(patches, patch_sizes.clamp(min=1), boxes, bins, config.mask_sampling, config.roi_aligned, most)
    return masks, (patch_sizes > 0).all(-1)
