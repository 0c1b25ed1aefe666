"""Box head (Fast R-CNN, section 2; with convolutions, Group Normalization section 5.2): RoI features → class and box.

Its minibatch of RoIs is chosen here too, and shared with the mask head.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskrcnn.config import Config
from maskrcnn.model.batch import Batch
from maskrcnn.model.box_coder import encode_deltas
from maskrcnn.model.layers import conv_block
from maskrcnn.model.losses import Term, box_loss, classification_loss
from maskrcnn.model.matcher import match_boxes
from maskrcnn.model.rpn import MAX_CROWD_SHARE, Proposals
from maskrcnn.model.sampling import sample_minibatch


class RoISamples(NamedTuple):
    """S RoIs an image for the losses, foreground first."""

    boxes: Tensor  # float [B, S, 4]
    valid: Tensor  # bool [B, S]
    foreground: Tensor  # bool [B, S]
    labels: Tensor  # int [B, S], C is background
    matched: Tensor  # int [B, S], the object a foreground RoI stands for

    def first(self, count: int) -> RoISamples:
        """The first ``count`` entries of each image."""
        return RoISamples(*(part[:, :count] for part in self))


class BoxHead(nn.Module):
    """RoI features [R, F, k, k] → logits [R, C + 1] (background last) and deltas [R, C or 1, 4]."""

    def __init__(self, classes: int, config: Config) -> None:
        super().__init__()
        self.config = config
        self.classes = classes
        widths = (config.fpn_channels, *config.box_convs)
        self.convs = nn.Sequential(*(conv_block(*pair, 3, config.head_norm) for pair in itertools.pairwise(widths)))
        widths = (widths[-1] * config.box_bins**2, *config.box_hidden)
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in itertools.pairwise(widths))
        self.logits = nn.Linear(widths[-1], classes + 1)
        self.deltas = nn.Linear(widths[-1], 4 if config.box_class_agnostic else classes * 4)
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.normal_(self.deltas.weight, std=0.001)
        for layer in (self.logits, self.deltas):
            nn.init.zeros_(layer.bias)

    def forward(self, rois: Tensor) -> tuple[Tensor, Tensor]:
        x = self.convs(rois).flatten(1)
        for layer in self.hidden:
            x = F.relu(layer(x))
        x = x.to(self.logits.weight.dtype)
        return self.logits(x), self.deltas(x).unflatten(1, (-1, 4))

    @torch.no_grad()
    def select(self, proposals: Proposals, batch: Batch) -> RoISamples:
        """The minibatch of RoIs: proposals and the objects' own boxes, foreground from IoU 0.5 on."""
        boxes = torch.cat((proposals.boxes, batch.boxes), dim=1)
        exists = torch.cat((proposals.valid, batch.valid), dim=1)
        matches = match_boxes(boxes, batch.boxes, batch.valid, batch.crowd)
        positive = (matches.overlap >= self.config.roi_iou) & exists
        negative = ~positive & exists & (matches.crowd <= MAX_CROWD_SHARE)
        count, share = self.config.roi_samples, self.config.roi_positive_share
        index, valid = sample_minibatch(positive, negative, count, share, batch.seeds, stream=1)
        matched, foreground = matches.matched.gather(1, index), positive.gather(1, index) & valid
        labels = torch.full_like(matched, self.classes)
        if batch.labels.shape[1]:
            labels = torch.where(foreground, batch.labels.gather(1, matched), labels)
        return RoISamples(boxes.gather(1, index[..., None].expand(-1, -1, 4)), valid, foreground, labels, matched)

    def losses(self, logits: Tensor, deltas: Tensor, rois: RoISamples, batch: Batch) -> tuple[Term, Term]:
        """L_cls and L_box for logits [B * S, C + 1] and deltas [B * S, C, 4] of the sampled RoIs."""
        labels, valid, foreground = (part.flatten() for part in (rois.labels, rois.valid, rois.foreground))
        classification = classification_loss(logits, labels, valid)
        if not batch.boxes.shape[1]:
            return classification, Term(deltas.float().sum() * 0.0, valid.sum())
        goal = batch.boxes.gather(1, rois.matched[..., None].expand(-1, -1, 4))
        targets = encode_deltas(goal, rois.boxes, self.config.box_weights).flatten(0, 1)
        of_class = labels.clamp(max=deltas.shape[1] - 1)[:, None, None].expand(-1, 1, 4)
        deltas = deltas.gather(1, of_class).squeeze(1)
        return classification, box_loss(deltas, targets, foreground, valid, self.config.box_beta)
