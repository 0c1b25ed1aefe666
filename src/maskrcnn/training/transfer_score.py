"""How well a trained model suits data that it was not trained on, measured without training it.

Two of its steps do not depend on class names, and are what a fine-tuned model keeps: the boxes that the RPN proposes,
and the masks that the mask head makes in boxes that are known. The score is the mean of

- the average recall of the best proposals on the objects' boxes, over IoUs of 0.5 to 0.95 (Hosang et al. 2016), and
- the mean IoU of the masks made in the true boxes with the true ones.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from maskrcnn.datasets.dataset import Dataset
from maskrcnn.model.batch import Batch
from maskrcnn.model.box_head import RoISamples
from maskrcnn.model.mask_head import mask_targets
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.ops.boxes import iou
from maskrcnn.training.samples.augment import Augmentation
from maskrcnn.training.samples.loader import Collate
from maskrcnn.training.samples.stream import TrainingStream

IMAGES = 8
PROPOSALS = 100  # that count, beside one for each object of the image
OBJECTS = 64  # of an image, whose masks are compared
PLAIN = Augmentation(flip=False, scale=(1.0, 1.0), colour=0.0, object_crops=0.0)


class TransferScore(NamedTuple):
    """Average recall of the proposals and mean IoU of the masks, both 0 to 1; masks of None where the data has none."""

    recall: float
    masks: float | None

    @property
    def value(self) -> float:
        """The mean, as a product turns on a few boxes where recall is low; recall alone where nothing has a mask."""
        return self.recall if self.masks is None else (self.recall + self.masks) / 2

    def __str__(self) -> str:
        masks = "" if self.masks is None else f", mask IoU {self.masks:.2f}"
        return f"recall {self.recall:.2f}{masks}"


@torch.no_grad()
def transfer_score(model: MaskRCNN, dataset: Dataset, images: int = IMAGES) -> TransferScore:
    """The score of a model on the first images of the training order of seed 0, whole and as they are.

    Args:
        model: in evaluation mode, on any device; its class names need not be those of the data.
    """
    preprocess = model.config.preprocess
    stream, collate = TrainingStream(dataset, preprocess, PLAIN, None, 0), Collate(None, preprocess.divisor)
    recalls, overlaps = [torch.zeros(0)], [torch.zeros(0)]
    for position in range(min(images, len(dataset))):
        batch = collate([stream[position]]).batch.to(model.normalise.mean.device)
        if batch.boxes.shape[1]:
            recall, overlap = _of_image(model, batch)
            recalls.append(recall.cpu())
            overlaps.append(overlap.cpu())
    recall, overlap = torch.cat(recalls), torch.cat(overlaps)
    return TransferScore(float(recall.mean()) if len(recall) else 0.0, float(overlap.mean()) if len(overlap) else None)


def _of_image(model: MaskRCNN, batch: Batch) -> tuple[Tensor, Tensor]:
    """The recall of each object's box, [G] in 0..1, and the IoU of each mask, for objects that have one."""
    pyramid = model.features(batch.images, batch.sizes)
    proposals = model.propose(pyramid, batch.sizes)
    count = batch.boxes.shape[1]
    found = proposals.boxes[0][proposals.valid[0]][: PROPOSALS + count]
    best = iou(batch.boxes[0], found).amax(1) if len(found) else batch.boxes.new_zeros(count)
    recall = (best[:, None] >= torch.arange(0.5, 0.96, 0.05, device=best.device)).float().mean(1)

    boxes = batch.boxes[:, :OBJECTS]
    everything = torch.ones(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
    labels = model.classify(pyramid, boxes)[0][..., :-1].argmax(-1)
    masks = model.masks_in(pyramid, boxes, labels).flatten(0, 1) >= 0.5
    matched = torch.arange(boxes.shape[1], device=boxes.device)[None]
    rois = RoISamples(boxes, everything, everything, labels, matched)
    targets, exists = mask_targets(rois, batch, masks.shape[-1], model.config)
    true = targets >= 0.5
    overlap = (masks & true).sum((1, 2)) / (masks | true).sum((1, 2)).clamp(min=1)
    return recall, overlap[exists]
