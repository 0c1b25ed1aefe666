"""Region proposal network (Faster R-CNN, section 3.1; on a pyramid, FPN section 4.1).

A small convolutional head slides over every level and says for each anchor whether an object is near (a logit) and how
to move the anchor onto it (four deltas). Proposals are the best of them after suppression of near-duplicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskrcnn.config import Config
from maskrcnn.model.anchors import Anchors
from maskrcnn.model.batch import Batch
from maskrcnn.model.box_coder import decode_deltas, encode_deltas
from maskrcnn.model.layers import conv_block
from maskrcnn.model.losses import Term, objectness_loss, rpn_box_loss
from maskrcnn.model.matcher import match_boxes
from maskrcnn.model.sampling import sample_minibatch
from maskrcnn.ops.boxes import clip_boxes, has_min_side
from maskrcnn.ops.nms import nms

MAX_CROWD_SHARE = 0.7  # background samples lie in crowd regions by at most this share


class Proposals(NamedTuple):
    """K candidate boxes an image, in pixels of the network input; best first."""

    boxes: Tensor  # float [B, K, 4]
    valid: Tensor  # bool [B, K]


class AnchorPredictions(NamedTuple):
    """The RPN's output for every anchor, one entry a level."""

    logits: list[Tensor]  # [B, A_l]
    deltas: list[Tensor]  # [B, A_l, 4]
    anchors: list[Tensor]  # [A_l, 4]


class RPN(nn.Module):
    """Pyramid → `AnchorPredictions` → `Proposals`, or losses."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.anchors = Anchors(config)
        width = config.fpn_channels
        self.convs = nn.Sequential(*(conv_block(width, width, 3) for _ in range(config.rpn_convs)))
        self.logits = nn.Conv2d(width, self.anchors.per_cell, 1)
        self.deltas = nn.Conv2d(width, self.anchors.per_cell * 4, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, pyramid: Sequence[Tensor], image_size: Sequence[int]) -> AnchorPredictions:
        logits, deltas = [], []
        for features in pyramid:
            hidden = self.convs(features).to(self.logits.weight.dtype)
            logits.append(self.logits(hidden).permute(0, 2, 3, 1).flatten(1).float())
            deltas.append(self.deltas(hidden).permute(0, 2, 3, 1).reshape(hidden.shape[0], -1, 4).float())
        return AnchorPredictions(logits, deltas, self.anchors.levels(pyramid, image_size))

    @torch.no_grad()
    def propose(self, predictions: AnchorPredictions, sizes: Tensor) -> Proposals:
        """The best boxes: top k of each level, decoded, clipped to sizes [B, 2], suppressed in their level, top K."""
        before, keep_count = (
            pair[0 if self.training else 1] for pair in (self.config.rpn_before_nms, self.config.proposals)
        )
        boxes, scores = [], []
        for logits, deltas, anchors in zip(*predictions, strict=True):
            # Padding the candidates makes top-k's shape independent of the level's size.
            best, index = F.pad(logits, (0, before), value=-torch.inf).topk(before, dim=1)
            index = index.clamp(max=anchors.shape[0] - 1)
            chosen = deltas.gather(1, index[..., None].expand(-1, -1, 4))
            boxes.append(decode_deltas(chosen, anchors[index]))
            scores.append(best)
        levels = clip_boxes(torch.stack(boxes, dim=1), sizes)  # [B, L, k, 4]
        score = torch.stack(scores, dim=1)
        keep = nms(levels, has_min_side(levels, 1e-3) & (score > -torch.inf), self.config.rpn_nms)
        score, index = torch.where(keep, score, -torch.inf).flatten(1).topk(min(keep_count, keep[0].numel()), dim=1)
        return Proposals(levels.flatten(1, 2).gather(1, index[..., None].expand(-1, -1, 4)), score > -torch.inf)

    def losses(self, predictions: AnchorPredictions, batch: Batch) -> tuple[Term, Term]:
        """L_objectness and L_rpn_box on a sampled minibatch of anchors."""
        anchors = torch.cat(predictions.anchors)
        index, valid, positive, targets = self.select(anchors, batch)
        logits = torch.cat(predictions.logits, dim=1).gather(1, index)
        deltas = torch.cat(predictions.deltas, dim=1).gather(1, index[..., None].expand(-1, -1, 4))
        box = rpn_box_loss(deltas, targets, positive, valid, self.config.rpn_beta)
        return objectness_loss(logits, positive, valid), box

    @torch.no_grad()
    def select(self, anchors: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The minibatch: index, valid, positive [B, S] and target deltas [B, S, 4].

        Positive: IoU of at least 0.7 with an object, or the best anchor of one. Negative: IoU below 0.3 with all.
        """
        matches = match_boxes(anchors[None], batch.boxes, batch.valid, batch.crowd)
        low, high = self.config.rpn_iou
        positive = (matches.overlap >= high) | matches.is_best
        centre = (anchors[:, :2] + anchors[:, 2:]) / 2
        inside = (centre < batch.sizes[:, None].flip(-1)).all(-1)
        negative = (matches.overlap < low) & ~positive & inside & (matches.crowd <= MAX_CROWD_SHARE)
        index, valid = sample_minibatch(
            positive, negative, self.config.rpn_samples, self.config.rpn_positive_share, batch.seeds
        )
        target = matches.matched.gather(1, index)
        if not batch.boxes.shape[1]:
            return index, valid, torch.zeros_like(valid), anchors[index] * 0
        targets = encode_deltas(batch.boxes.gather(1, target[..., None].expand(-1, -1, 4)), anchors[index])
        return index, valid, positive.gather(1, index), targets
