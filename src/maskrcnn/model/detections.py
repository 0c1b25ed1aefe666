"""Final detections: class scores and class boxes of K proposals → the best D objects (Fast R-CNN, section 2.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from maskrcnn.config import Config
from maskrcnn.model.box_coder import decode_deltas
from maskrcnn.model.rpn import Proposals
from maskrcnn.ops.boxes import clip_boxes, has_min_side
from maskrcnn.ops.nms import nms

CANDIDATES = 2000  # (box, class) pairs an image that enter suppression, best first


class Detections(NamedTuple):
    """D objects an image, best first, boxes in pixels of the network input; rows that are not valid mean nothing."""

    boxes: Tensor  # float [B, D, 4]
    scores: Tensor  # float [B, D], 0..1
    labels: Tensor  # int [B, D], 0..C-1
    valid: Tensor  # bool [B, D]


class InstanceDetections(NamedTuple):
    """`Detections` with each object's mask probabilities in its box's frame."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    valid: Tensor
    masks: Tensor  # float [B, D, M, M], 0..1


@torch.no_grad()
def select_detections(
    logits: Tensor,
    deltas: Tensor,
    proposals: Proposals,
    sizes: Tensor,
    config: Config,
    score: Tensor | float = 0.0,
    max_detections: int | None = None,
) -> Detections:
    """Score threshold, decoding, clipping, suppression within a class, top D.

    Args:
        logits: [B, K, C + 1], background last.
        deltas: [B, K, C, 4], or [B, K, 1, 4] for all classes.
        sizes: [B, 2] = (height, width).
        score: lowest score asked for, if above the model's threshold. The others are the same as without it.
        max_detections: D, the config's own unless given.
    """
    classes = logits.shape[2] - 1
    scores = logits.float().softmax(-1)[..., :classes]
    candidate = proposals.valid[..., None] & (scores > config.score_threshold)
    scores = torch.where(candidate, scores, 0.0).flatten(1)
    scores, index = scores.topk(min(CANDIDATES, scores.shape[1]), dim=1)
    labels = index % classes
    of_index = index[..., None].expand(-1, -1, 4)
    of_deltas = of_index if deltas.shape[2] == classes else of_index // classes
    reference = proposals.boxes.gather(1, (of_index // classes))
    boxes = decode_deltas(deltas.float().flatten(1, 2).gather(1, of_deltas), reference, config.box_weights)
    boxes = clip_boxes(boxes, sizes)
    keep = nms(boxes, (scores > 0) & (scores >= score) & has_min_side(boxes, 1e-2), config.nms_threshold, labels)
    most = config.max_detections if max_detections is None else max_detections
    scores, index = torch.where(keep, scores, 0.0).topk(min(most, keep.shape[1]), dim=1)
    boxes = boxes.gather(1, index[..., None].expand(-1, -1, 4))
    return Detections(boxes, scores, labels.gather(1, index), scores > 0)
